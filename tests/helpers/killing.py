"""Commands that are killed in the middle, with kill -9, when something has happened."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import forked
import psutil

from mlctl.cli.main import main

_PATIENCE = 300


def kill_when(happened: Callable[[], object], arguments: list[str], log: Path) -> None:
    """Run `mlctl` with some arguments in a process of its own, kill it when something has happened, and wait for the end of its children."""
    killed = forked.start(_run_quietly, arguments, str(log))
    until(lambda: happened() or killed.exitcode is not None)
    assert killed.pid
    children = psutil.Process(killed.pid).children(recursive=True) if killed.exitcode is None else []
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL, log.read_text()
    until(lambda: not any(_is_alive(child) for child in children))


def until(check: Callable[[], object]) -> None:
    """Wait until a check succeeds."""
    end = time.monotonic() + _PATIENCE
    while not check():
        assert time.monotonic() < end
        time.sleep(0.1)


def _run_quietly(arguments: list[str], log: str) -> None:
    with Path(log).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    main(arguments)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
