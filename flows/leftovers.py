"""Prefect's temporary server knows nothing of the end of the run that started it: a watchman, a process of its own, ends it then.

`python -m flows.leftovers MARK` is the watchman.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid

import psutil

_MARK = "MLCTL_RUN"  # in the environment of all that a run starts
_watchmen: list[subprocess.Popen[bytes]] = []  # while this process lives, so do their pipes


def watch() -> None:
    """Have all that this process starts from now on end with it, also after kill -9. Where a Prefect server is up nothing needs that."""
    from prefect.settings import get_current_settings

    if get_current_settings().api.url:
        return
    os.environ[_MARK] = uuid.uuid4().hex
    command = [sys.executable, "-P", "-m", __name__, os.environ[_MARK]]
    quiet = subprocess.DEVNULL
    _watchmen.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True))


def _end(mark: str) -> None:
    """End what bears a mark, but for this process."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(_MARK) == mark:
                process.kill()


if __name__ == "__main__":
    sys.stdin.buffer.read()  # ends when the run does
    _end(sys.argv[1])
