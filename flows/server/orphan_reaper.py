"""Reaper process: ends what a run leaves behind when its process dies, also by kill -9.

It kills the child processes, reports the runs to the Prefect server as Crashed (after a signal as Cancelled), and ends Prefect's
temporary server. `python -m flows.server.orphan_reaper MARK SESSION` is the reaper. It reads lines of JSON: the `server` that the runs
report to, the `reason` why the process ends, and `done` if it need not do anything.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import json
import os
import subprocess
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from typing import IO, Any, TypeVar, cast

import psutil

from mlctl.errors import InputError

T = TypeVar("T")

_MARK = "MLCTL_RUN"  # set in the environment of all child processes of a run
_END_SECONDS = 5.0  # for the report to a server that is busy; usually it takes 0.2
_REQUEST_SECONDS = 3.0
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_reapers: dict[
    str, _Reaper
] = {}  # of each temporary server the one that ends it, whose standard input stays open until this process ends


@contextlib.contextmanager
def reaping(meanwhile: Callable[[], T]) -> Iterator[T]:
    """Have a reaper end what the runs of the block and their child processes leave behind.

    It finds the runs by a tag, so that a run is known from the moment that the server knows it. Prefect's temporary server is started
    here, which takes some seconds; it ends with this process. `meanwhile` is called in these seconds; the block gets what it returns.
    """
    from prefect import tags

    from flows.server.connection import connection
    from mlctl.core.interruption import on_interruption

    reaper = _Reaper()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        starting = pool.submit(_start_temporary_server)
        loaded = meanwhile()
        temporary = starting.result()
    reaper.send(server=connection(temporary))
    try:
        with tags(reaper.tag), on_interruption(reaper.end, _END_SECONDS):
            yield loaded
    finally:
        if not temporary or _reapers.setdefault(temporary, reaper) is not reaper:
            reaper.send(done=True)


class _Reaper:
    """The reaper, as its parent sees it."""

    def __init__(self) -> None:
        mark = os.environ[_MARK] = uuid.uuid4().hex
        self.tag = _tag(mark)
        command = [sys.executable, "-P", "-m", __name__, mark, str(os.getsid(0))]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True)

    def send(self, **message: Any) -> None:
        stdin = cast("IO[bytes]", self._process.stdin)
        with contextlib.suppress(BrokenPipeError):  # it was killed
            stdin.write(json.dumps(message).encode() + b"\n")
            stdin.flush()

    def end(self, reason: str) -> None:
        """Have the reaper do its work now, and wait for its end."""
        self.send(reason=reason)
        cast("IO[bytes]", self._process.stdin).close()
        self._process.wait()


def _tag(mark: str) -> str:
    return f"mlctl:{mark[:8]}"


def _start_temporary_server() -> str | None:
    """Start Prefect's temporary server where none is configured, and return its API's URL.

    It gets a session of its own, so that a terminal's Ctrl-C does not end it: the run still reports to it how it ended.

    Raises:
        InputError: it did not start, or not in time.
    """
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if settings.api.url or not settings.server.ephemeral.enabled:
        return None
    from prefect.server.api import server

    processes: Any = types.SimpleNamespace(**vars(subprocess))
    processes.Popen = functools.partial(subprocess.Popen, start_new_session=True)
    server.subprocess = processes  # type: ignore[attr-defined]
    temporary = server.SubprocessASGIServer()
    try:
        temporary.start()
    except RuntimeError as error:  # it ended, or did not answer in time
        raise InputError(
            f"Prefect's temporary server did not start: {error}",
            "free the machine and run again, set PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS to more seconds, or start a server of its own "
            "with `mlctl up`",
        ) from None
    return temporary.api_url


def _main(mark: str, session: int) -> None:
    messages: dict[str, Any] = {}
    for line in sys.stdin:  # ends when the run's process does
        with contextlib.suppress(ValueError):  # killed in the middle of a line
            messages |= json.loads(line)
    if messages.get("done"):
        return
    _kill_marked(mark, lambda process: os.getsid(process.pid) == session)
    with contextlib.suppress(Exception):
        _report(messages["server"], _tag(mark), messages.get("reason", ""))
    _kill_marked(mark, lambda _: True)


def _kill_marked(mark: str, chosen: Callable[[psutil.Process], bool]) -> None:
    """Kill the chosen processes with a mark except this one."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(_MARK) == mark and chosen(process):
                process.kill()


def _report(server: dict[str, Any], tag: str, reason: str) -> None:
    """Report that the runs with a tag, and their tasks, have ended."""
    import httpx

    ended = {"type": "CRASHED", "name": "Crashed", "message": "its process was killed"}
    if reason:
        ended = {"type": "CANCELLED", "name": "Interrupted", "message": reason}
    tagged = {"flow_runs": {"tags": {"any_": [tag]}}}
    with httpx.Client(timeout=_REQUEST_SECONDS, **server) as client:
        for kind in ("flow_runs", "task_runs"):
            for run in client.post(f"{kind}/filter", json=tagged).raise_for_status().json():
                if run["state_type"] not in _FINAL:
                    client.post(f"{kind}/{run['id']}/set_state", json={"state": ended, "force": True}).raise_for_status()


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
