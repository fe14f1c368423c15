"""A Prefect server that hangs or is killed during a run: the run finishes its work, says so in one line, and ends."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import Store
from storage.run_log import RunLog

PATIENCE = 180


class Relay:
    """A TCP relay to a server. Once `silence` was called it forwards nothing: it keeps its connections open, or closes all."""

    def __init__(self, port: int) -> None:
        self.target, self.listener = port, socket.create_server(("127.0.0.1", 0))
        self.is_silent, self.sockets = threading.Event(), [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/api"

    def silence(self, how: str) -> None:
        self.is_silent.set()
        if how == "is killed":
            self.close()

    def close(self) -> None:
        for each in self.sockets.copy():
            with contextlib.suppress(OSError):  # not connected any more
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                self.sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()
        except OSError:
            return  # closed

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if self.is_silent.is_set():
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def relay(server: str) -> Iterator[Relay]:
    made = Relay(int(server.removesuffix("/api").rpartition(":")[2]))
    yield made
    made.close()


@pytest.mark.parametrize("how", ["hangs", "is killed"])
def test_a_run_finishes_without_the_server(how: str, relay: Relay, recipe: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PREFECT_API_URL": relay.url}
    command = [sys.executable, "-m", "mlctl", "clean", str(recipe)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout
        lines = []
        for line in running.stdout:
            lines.append(line)
            if "download: " in line and not relay.is_silent.is_set():  # the first stage starts
                relay.silence(how)
        assert running.wait(PATIENCE) == 0, "".join(lines)
    text = "".join(lines)
    assert relay.is_silent.is_set(), text
    (run,) = RunLog(Store(tmp_path / "store")).runs()
    assert run.status == "completed", text
    assert [stage.state for stage in run.stages] == ["computed", "computed"]
    said = f"the Prefect server {environment['PREFECT_API_URL']} does not answer: the state and the page of this run there may be wrong"
    assert text.count(said) == 1, text
    assert "Traceback" not in text
    assert "ERROR" not in text
    assert lines[-1].startswith("run:"), text
