"""Reaper process: stops Prefect's temporary server and the other children of a run when the run dies.

`python -m flows.server.orphan_reaper MARK` is the reaper.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import types
import uuid
from typing import Any

import psutil

_MARK = "MLCTL_RUN"  # set in the environment of all child processes of a run
_reapers: list[subprocess.Popen[bytes]] = []  # keeps their standard input open while this process lives


def start_reaper() -> None:
    """Make all later child processes end with this one, also after kill -9."""
    os.environ[_MARK] = uuid.uuid4().hex
    command = [sys.executable, "-P", "-m", __name__, os.environ[_MARK]]
    quiet = subprocess.DEVNULL
    _reapers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True))
    _start_temporary_server_in_own_session()


def _start_temporary_server_in_own_session() -> None:
    """Keep a terminal's Ctrl-C from Prefect's temporary server: the run still reports to it how it ended."""
    from prefect.settings import get_current_settings

    if get_current_settings().api.url:
        return
    from prefect.server.api import server

    processes: Any = types.SimpleNamespace(**vars(subprocess))
    processes.Popen = functools.partial(subprocess.Popen, start_new_session=True)
    server.subprocess = processes  # type: ignore[attr-defined]


def _kill_marked(mark: str) -> None:
    """Kill all processes with a mark except this one."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(_MARK) == mark:
                process.kill()


if __name__ == "__main__":
    sys.stdin.buffer.read()  # ends when the run does
    _kill_marked(sys.argv[1])
