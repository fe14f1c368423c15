"""A real Ray cluster on this machine, which listens on the loopback interface alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

# Ray takes this machine's own address for 127.0.0.1 unless it believes that there can be no other machine.
NO_RAY = "Ray is not installed: pip install '.[ray]'"
LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_worker_prestart": "0",  # a worker for each core, whether or not it gets a step
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(16),  # one for all clusters of a process: Ray reads it once
}

# `ray start` for a second machine on the loopback interface: Ray replaces 127.0.0.1 by another address of this machine.
_START = """
from ray._private import services
services.resolve_ip_for_localhost = lambda host: host
from ray.scripts.scripts import main
main()
"""

ACTORS, CLEANERS = b"ray::WorkerActor", b"mlctl.cleaning.worker"
ALIGNERS, SHARDERS = b"mlctl.alignment.worker", b"mlctl.sharding.worker"
TRANSLATORS, EVALUATORS = b"mlctl.translation.worker", b"mlctl.evaluation.worker"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def cluster_of_one(folder: Path) -> Iterator[str]:
    """Yield the address of a cluster of one machine with two cores and, so it believes, one GPU."""
    patch, port = pytest.MonkeyPatch(), free_port()
    for name, value in LOOPBACK.items():
        patch.setenv(name, value)
    patch.delenv("RAY_ADDRESS", raising=False)
    pytest.importorskip("ray", reason=NO_RAY)  # it reads the environment when it is imported
    short = Path(f"/tmp/mlctl-ray-{os.getpid()}")  # noqa: S108 - names of sockets may not be long
    short.symlink_to(folder)
    options = {"port": port, "num-cpus": 2, "num-gpus": 1, "include-dashboard": "false", "temp-dir": short}
    try:
        with _node(["--head"], options, folder / "log"):
            yield f"127.0.0.1:{port}"
    finally:
        short.unlink()
        patch.undo()


@contextlib.contextmanager
def machine_with_own_folders(address: str, folder: Path, hidden: Path, cores: int) -> Iterator[subprocess.Popen[bytes]]:
    """Add a machine to a cluster that has its cache in `folder` and finds an empty folder at `hidden`; yield its process."""
    mount = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hidden)]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine's kernel does not let processes have their own view of the file system")
    environment = {"MLCTL_CACHE": str(folder / "cache"), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
    with _node([f"--address={address}"], {"num-cpus": cores, "num-gpus": 0}, folder / "log", mount, environment) as process:
        yield process


@contextlib.contextmanager
def _node(
    arguments: list[str],
    options: Mapping[str, Any],
    log_file: Path,
    prefix: list[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    options = {"node-ip-address": "127.0.0.1", "object-store-memory": 80_000_000, "include-log-monitor": "false", **options}
    command = [sys.executable, "-c", _START, "start", "--block", "--disable-usage-stats", *arguments]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*(prefix or ()), *command, *(f"--{name}={value}" for name, value in options.items())],
            stdout=log,
            stderr=log,
            env={**os.environ, **(environment or {})},
        )
    try:
        wait_for(lambda: b"Ray runtime started" in log_file.read_bytes(), 120, process)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def wait_for(what: Callable[[], Any], seconds: float = 30, process: subprocess.Popen[bytes] | None = None) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        assert process is None or process.poll() is None, "Ray ended by itself"
        time.sleep(0.02)


def processes(name: bytes) -> list[int]:
    """Processes of the cluster with a word in their command line: Ray's actors, or what these have started."""
    token = os.environ["RAY_AUTH_TOKEN"].encode()  # other tests have workers, too
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if name in (folder / "cmdline").read_bytes() and (name == ACTORS or token in (folder / "environ").read_bytes()):
                found.append(int(folder.name))
        except OSError:  # it ended meanwhile
            continue
    return found
