"""Why a process of a group failed: an error of its own, or the loss of another process.

A process that finds an error records it in the store. The others look there regularly, and when they lose a connection.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from torch.distributed import Store  # type: ignore[attr-defined]

from mlctl.errors import InputError
from mlctl.execution.processes import error_from_response

#: The environment variable with the folder that a launcher shares with its processes.
LAUNCH_FOLDER = "MLCTL_LAUNCH_FOLDER"

_POLL_SECONDS, _RECORD_SECONDS, _WATCH_SECONDS = 0.1, 3.0, 1.0
#: Parts of the messages of gloo, NCCL and torch's store about a lost process.
_LOST_CONNECTION = ("by peer", "ncclRemoteError", "remote process", "Broken pipe", "Timed out", "timeout", "Connection refused")


def record_failure(store: Store, response: dict[str, Any]) -> None:
    """Tell the other processes why this one ends, by a response of `run_job`."""
    with contextlib.suppress(RuntimeError):  # the store may have ended
        store.set("failure", json.dumps({**response, "host": socket.gethostname()}))


def recorded_failure(store: Store, is_stopped: Callable[[], bool] = lambda: False) -> dict[str, Any] | None:
    """Return the response that another process recorded, with its `host` where that is another one, for `error_from_failure`.

    None: no process recorded one in a while, or until `is_stopped`.
    """
    deadline = time.monotonic() + _RECORD_SECONDS
    while time.monotonic() < deadline and not is_stopped():
        try:
            if failure := _read_failure(store):
                return failure
        except RuntimeError:  # the store has ended
            return None
        time.sleep(_POLL_SECONDS)
    return None


def watch_failures(store: Store, handle: Callable[[dict[str, Any]], None]) -> None:
    """Call `handle` in a thread with what another process records: an operation that waits for that process may not end by itself."""

    def watch() -> None:
        while True:
            time.sleep(_WATCH_SECONDS)
            try:
                failure = _read_failure(store)
            except RuntimeError:  # the store has ended
                return
            if failure:
                handle(failure)

    threading.Thread(target=watch, daemon=True).start()


def _read_failure(store: Store) -> dict[str, Any] | None:
    if not store.check(["failure"]):
        return None
    failure: dict[str, Any] = json.loads(store.get("failure"))
    return {**failure, "host": "" if failure["host"] == socket.gethostname() else failure["host"]}


def error_from_failure(failure: dict[str, Any] | None) -> Exception | None:
    """Return the error of a recorded failure; its message begins with the host that it is about."""
    return error_from_response(failure, failure.get("host", "")) if failure else None


def lost_process_error(text: str) -> InputError | None:
    """Return the error to raise for one of the libraries' errors about a lost process; None: it is about something else."""
    last_line = text.rstrip().rpartition("\n")[2]
    if not any(message in last_line for message in _LOST_CONNECTION):
        return None
    return InputError(
        f"another process of the training was lost ({last_line})",
        "check the log of the other machines, start their processes again and run again: training resumes from the newest checkpoint",
    )
