"""A Prefect server whose database is a real PostgreSQL, as docs/scale.md sets it up: it keeps what it knows when it is killed."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.postgres

DOCS = Path(__file__).parents[3] / "docs/scale.md"


def programs() -> Path | None:
    """The folder of PostgreSQL's programs: Debian's, or those of the package pgserver."""
    found = shutil.which("initdb")
    spec = importlib.util.find_spec("pgserver")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    places += [Path(spec.origin).parent / "pginstall/bin"] if spec and spec.origin else []
    return next((place for place in places if (place / "initdb").is_file()), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], Any], process: subprocess.Popen[bytes], log: Path, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of an empty PostgreSQL on the loopback interface that wants a password."""
    place = programs()
    if place is None:
        pytest.skip("no PostgreSQL: install Debian's `postgresql`, or `pip install pgserver`")
    with tempfile.TemporaryDirectory(prefix="mlctl-postgres-", dir="/tmp") as name:
        folder, port = Path(name), free_port()
        user = _give_away(folder)
        (folder / "password").write_text("not-a-secret")
        (folder / "password").chmod(0o644)
        data, log = folder / "data", folder / "log"
        _run(
            [place / "initdb", "-D", data, "-U", "mlctl", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}"], folder, user
        )
        options = ["-p", port, "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
        with log.open("wb") as stream:
            process = subprocess.Popen(_texts([place / "postgres", "-D", data, *options]), stdout=stream, stderr=stream, **user)
        try:
            wait_for(lambda: "ready to accept connections" in log.read_text(), process, log)
            yield f"postgresql+asyncpg://mlctl:not-a-secret@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # fast shutdown
            process.wait(60)


def _give_away(folder: Path) -> dict[str, Any]:
    """PostgreSQL does not run as root: let another own the folder."""
    if os.geteuid():
        return {}
    shutil.chown(folder, "nobody")
    return {"user": "nobody", "cwd": "/"}


def _texts(command: Sequence[Any]) -> list[str]:
    return [str(word) for word in command]


def _run(command: Sequence[Any], folder: Path, user: dict[str, Any]) -> None:
    environment = os.environ | {"HOME": str(folder)}
    try:
        done = subprocess.run(_texts(command), capture_output=True, text=True, check=False, env=environment, **user)
    except PermissionError:
        pytest.skip(f"no user but root may run PostgreSQL's programs in {Path(command[0]).parent}, and root may not")
    assert not done.returncode, done.stderr


def documented() -> dict[str, str]:
    """The server's settings as docs/scale.md gives them."""
    found = dict(re.findall(r"^export (PREFECT_SERVER_\w+)=(\S+)", DOCS.read_text(), re.MULTILINE))
    assert len(found) >= 6
    return found


class Server:
    """A Prefect server on a free port with a home of its own."""

    def __init__(self, folder: Path, database: str) -> None:
        self.port, self.log = free_port(), folder / "server.log"
        home = {"PREFECT_HOME": str(folder / "prefect"), "DO_NOT_TRACK": "1"}
        self.environment = os.environ | home | {"PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api"}
        self._settings = documented() | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database}

    def start(self) -> None:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(command, stdout=stream, stderr=stream, env=self.environment | self._settings)
        wait_for(self._answers, self.process, self.log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def tasks(self) -> dict[str, str]:
        """Task names and the types of their states."""
        return {task["name"].partition("-")[0]: task["state"]["type"] for task in self.ask("task_runs/filter")}

    def ask(self, path: str) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/{path}", b"{}", {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/health", timeout=5):
                return True
        except OSError:
            return False


@pytest.mark.slow
def test_a_server_on_postgres_runs_a_pipeline_and_keeps_it_when_killed(database: str, recipe: Path, tmp_path: Path) -> None:
    server = Server(tmp_path, database)
    server.start()
    try:
        command = [sys.executable, "-m", "mlctl", "clean", str(recipe)]
        done = subprocess.run(command, env=server.environment, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        done_with = {"download": "COMPLETED", "clean": "COMPLETED"}
        wait_for(lambda: server.tasks() == done_with, server.process, server.log)  # it writes task states seconds later
        server.kill()
        server.start()
        (run,) = server.ask("flow_runs/filter")
        assert (run["state"]["type"], run["parameters"]["until"]) == ("COMPLETED", "clean")
        assert server.tasks() == done_with
        assert not list((tmp_path / "prefect").glob("*.db")), "it used SQLite"
    finally:
        server.kill()
