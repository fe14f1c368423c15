"""`mlctl up` in a new project, of the installed wheel and with a home of its own: a real server on a free port, real workers, shared by these tests."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import tiny
from installation import Installation

PATIENCE = 600.0  # seconds; machines of CI are shared


@dataclass(frozen=True)
class Operated:
    """A machine under `mlctl up`, seen from outside."""

    installation: Installation
    project: Path
    home: Path
    port: int

    @staticmethod
    def until(check: Callable[[], Any], what: str) -> Any:
        """Wait until a check returns something true, and return that."""
        end = time.monotonic() + PATIENCE
        while not (found := check()):
            assert time.monotonic() < end, f"waited in vain for: {what}"
            time.sleep(0.2)
        return found

    @staticmethod
    def recipe(store: Path, **train: Any) -> dict[str, Any]:
        values = tiny.recipe(store)
        # an engine that compiles nothing when it is first used after the installation
        return {**values, "align": {"workers": 1, "engine": "fast_align"}, "train": {**values["train"], **train}}

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def state(self) -> Path:
        return self.project / ".mlctl"

    def do(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.installation.run(self.project, program, *arguments, HOME=str(self.home), PREFECT_API_URL=self.api)

    def mlctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.do("mlctl", *arguments)

    def up(self) -> str:
        done = self.mlctl("up", "--port", str(self.port))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the server, again where it is busy (SQLite waits up to a minute for its lock): Prefect's own clients do so, too."""

        def answered() -> httpx.Response | None:
            try:
                answer = httpx.request(method, f"{self.api}/{path}", json=body, timeout=90)
            except httpx.TransportError:
                return None
            return None if answer.status_code == 503 else answer

        answer: httpx.Response = self.until(answered, path)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def post(self, path: str, body: Any) -> Any:
        return self.ask("POST", path, body)

    def deployment(self, name: str) -> str:
        """Return the id of a deployment."""
        return str(self.ask("GET", f"deployments/name/{name}")["id"])

    def start(self, deployment: str, **parameters: Any) -> str:
        """Ask for a run of a deployment, and return its id."""
        wanted = {"parameters": parameters, "idempotency_key": uuid.uuid4().hex}  # one run, however often it is asked for
        return str(self.post(f"deployments/{self.deployment(deployment)}/create_flow_run", wanted)["id"])

    def runs(self, flow: str, *ids: str) -> list[dict[str, Any]]:
        """Return a flow's runs, the oldest first: all, or those with these ids."""
        wanted = {"flow_runs": {"id": {"any_": list(ids)}}} if ids else {}
        return list(self.post("flow_runs/filter", {"flows": {"name": {"any_": [flow]}}, "sort": "ID_DESC", **wanted}))

    def run(self, run_id: str) -> dict[str, Any]:
        return dict(self.post("flow_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})[0])

    def wait(self, run_id: str, *states: str) -> dict[str, Any]:
        """Wait until a run is in one of these states."""
        return dict(self.until(lambda: (run := self.run(run_id))["state_name"] in states and run, f"{run_id} {states}"))

    def completes(self, run_id: str) -> None:
        """Wait until a run has ended, and show what was said where it did not complete."""
        state = self.wait(run_id, "Completed", "Failed", "Crashed", "Cancelled")["state"]
        server = (self.state / "logs" / "server.log").read_text()[-4000:]
        assert state["name"] == "Completed", f"{state['name']}: {state['message']}\n{self.said(run_id)}\nThe server:\n{server}"

    def said(self, run_id: str) -> str:
        body = {"logs": {"flow_run_id": {"any_": [run_id]}}, "limit": 200, "sort": "TIMESTAMP_ASC"}
        return "\n".join(log["message"] for log in self.post("logs/filter", body))

    def tasks(self, run_id: str) -> dict[str, str]:
        """Return the state of each task on a run's page."""
        found = self.post("task_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
        return {task["name"]: task["state"]["name"] for task in found if task["state"]}  # recorded a moment after the task

    def processes(self, **marks: str) -> list[psutil.Process]:
        """Return the processes that bear these marks in their environment, besides this machine's."""
        wanted = {"MLCTL_UP": str(self.state), **marks}
        return [p for p in psutil.process_iter() if wanted.items() <= environment(p).items()]

    def part(self, name: str) -> psutil.Process:
        return psutil.Process(json.loads((self.state / f"{name}.json").read_text())["pid"])

    def kill_run(self, run_id: str) -> None:
        """Kill -9 the process of a run; what it started has to end with it."""
        mine = self.processes(PREFECT__FLOW_RUN_ID=run_id)
        assert mine
        for process in mine:
            process.kill()


def environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ() if process.status() != psutil.STATUS_ZOMBIE else {}
    except (psutil.Error, OSError):
        return {}


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory, installation: Installation, wheels: Path) -> Iterator[Operated]:
    folder = tmp_path_factory.mktemp("operations")
    (folder / "home").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    machine = Operated(installation, folder / "project", folder / "home", port)
    machine.project.mkdir()
    try:
        assert machine.mlctl("init", "--name", "own", "--targets", "fr,de", "--model", "scratch").returncode == 0
        machine.up()
        yield machine
    finally:
        machine.mlctl("down")
        for process in machine.processes():
            process.kill()
