"""Ctrl-C and SIGTERM: the command ends with one line and its children, and the run is recorded as interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import FlowRun, StateType

from storage import Store
from storage.run_log import Run, RunLog

PATIENCE = 180


def without_server(home: Path) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}, "PREFECT_HOME": str(home)}


def start(recipe: Path, log: Path, environment: Mapping[str, str], *overrides: str) -> subprocess.Popen[bytes]:
    """Start a run in a process group of its own, as a terminal does."""
    with log.open("w") as out:
        command = [sys.executable, "-m", "mlctl", "run", str(recipe), *overrides]
        return subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)


def until(check: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (value := check()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return value


def run_in(store: Path, stage: str) -> Run | None:
    """Return the run of a store once it is in a stage."""
    return next((run for run in RunLog(Store(store)).runs() if run.stages and run.stages[-1].stage == stage), None)


def marked(environment: Mapping[str, str]) -> list[str]:
    """Return the processes that have the MLCTL_RUN mark of a run, by their PREFECT_HOME."""
    lines = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("PREFECT_HOME") == environment["PREFECT_HOME"]:
                lines.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return [line for line in lines if "prefect server start" not in line and "pytest" not in line]


def assert_one_line(log: Path, reason: str, store: Path) -> None:
    text = log.read_text()
    assert "Traceback" not in text, text
    lines = [line for line in text.splitlines() if line.startswith("mlctl:")]
    assert lines == [f"mlctl: {reason}; finished work is kept in {store}: run the same command again to resume"], text
    assert text.splitlines()[-1] == lines[0]


@pytest.mark.slow
def test_ctrl_c_with_a_temporary_server(recipe: Path, tmp_path: Path) -> None:
    environment, store = without_server(tmp_path / "home"), tmp_path / "store"
    running = start(recipe, tmp_path / "log", environment, "train.steps=1000000")
    until(lambda: run_in(store, "train"))
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(PATIENCE) == 130
    assert_one_line(tmp_path / "log", "interrupted by Ctrl-C", store)
    (run,) = RunLog(Store(store)).runs()
    assert (run.status, run.error) == ("interrupted", "interrupted by Ctrl-C")
    assert run.overrides == ["train.steps=1000000"]
    until(lambda: not marked(environment))


def test_a_temporary_server_that_does_not_start_in_time_is_one_error(recipe: Path, tmp_path: Path) -> None:
    environment = {**without_server(tmp_path / "home"), "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "0"}
    assert start(recipe, tmp_path / "log", environment).wait(PATIENCE) == 1
    text = (tmp_path / "log").read_text()
    assert "mlctl: Prefect's temporary server did not start: Timed out" in text
    assert "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS" in text
    assert "Traceback" not in text
    until(lambda: not marked(environment))


@pytest.mark.parametrize("to_group", [True, False])
def test_sigterm_with_a_server(to_group: bool, recipe: Path, server: str, tmp_path: Path) -> None:
    store, name = tmp_path / "store", f"sigterm-{to_group}"
    running = start(recipe, tmp_path / "log", os.environ, f"name={name}")
    until(lambda: run_in(store, "clean"))
    (os.killpg if to_group else os.kill)(running.pid, signal.SIGTERM)
    if to_group:
        os.kill(running.pid, signal.SIGTERM)  # make passes it on
    assert running.wait(PATIENCE) == 143
    assert_one_line(tmp_path / "log", "terminated (SIGTERM)", store)
    run = RunLog(Store(store)).runs()[0]
    assert (run.status, run.stages[-1].stage, run.stages[-1].state) == ("interrupted", "clean", "interrupted")
    flow_run = flow_run_of(name)
    assert (flow_run.state_type, flow_run.state_name) == (StateType.CANCELLED, "Interrupted")
    assert "SIGTERM" in str(flow_run.state and flow_run.state.message)


def test_killed_at_its_start_a_run_does_not_stay_running_on_the_server(recipe: Path, server: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    running = start(recipe, tmp_path / "log", os.environ, "name=killed")
    until(lambda: RunLog(Store(store)).runs())
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait(PATIENCE) == -signal.SIGKILL
    until(lambda: flow_run_of("killed").state_type == StateType.CRASHED)
    assert RunLog(Store(store)).runs()[0].status == "interrupted"


def flow_run_of(name: str) -> FlowRun:
    with get_client(sync_client=True) as client:
        (flow_run,) = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(like_=f"{name},")))
        return flow_run


@pytest.mark.parametrize("moment", [0.2, 1.5])
def test_ctrl_c_before_anything_runs(moment: float, recipe: Path, tmp_path: Path) -> None:
    running = start(recipe, tmp_path / "log", without_server(tmp_path / "home"))
    time.sleep(moment)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(PATIENCE) in (130, -signal.SIGINT)
    assert "Traceback" not in (tmp_path / "log").read_text()
