"""kill -9 of the command, run again: the same result to the byte as without."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forked
import psutil
import pytest

from mlctl.cli.main import main
from storage import Store
from storage.run_log import RunLog

KILLS = [("align", "part"), ("train", "7"), ("train", "part")]  # tests/torture has a kill in every stage
SCRIPT = Path(__file__).with_name("kill_at.py")


def contents(store: Path) -> dict[str, str]:
    return {r.manifest.stage: f"{r.manifest.key} {r.manifest.content}" for r in Store(store).results()}


def test_prefects_temporary_server_ends_with_a_run_that_is_killed(recipe: Path, tmp_path: Path) -> None:
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    with (tmp_path / "log").open("w") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "mlctl", "run", str(recipe)],
            env={**alone, "PREFECT_HOME": str(tmp_path / "home")},
            stdout=log,
            stderr=log,
        )
        server = until(lambda: next(iter(servers_of(started.pid)), None))
        started.kill()
        started.wait()
    until(lambda: ended(server))


def servers_of(pid: int) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # children come and go
            if "uvicorn" in process.cmdline():
                found.append(process)
    return found


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(check: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


@pytest.mark.slow
def test_killed_and_resumed_the_results_are_equal(recipe: Path, server: str, tmp_path: Path) -> None:
    for stage, when in KILLS:
        assert forked.run_file(SCRIPT, stage, when, str(recipe)) == -signal.SIGKILL, (stage, when)
        if (stage, when) == ("train", "part"):
            assert RunLog(Store(tmp_path / "store")).runs()[0].status == "interrupted"
    assert main(["run", str(recipe)]) == 0
    assert main(["run", str(recipe), f"store={tmp_path / 'calm'}"]) == 0
    assert contents(tmp_path / "store") == contents(tmp_path / "calm")
    assert not Store(tmp_path / "store").drafts()
