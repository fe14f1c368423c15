"""Log records of a run: the library's are sent to the page of the Prefect run, and what Prefect says twice is shown once."""

from __future__ import annotations

import logging
import os
from collections import deque
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler, PrefectConsoleHandler, set_api_log_sink
from rich.console import Console

from mlctl.errors import InputError
from storage import StoreError
from tasks.server_calls import calls

_MAX_RECORDS = 5_000  # that wait for a server that does not answer; the oldest are dropped
_BATCH = 200  # records of a call
_STATE = "Finished in state"
_PREFECT_LOGGERS = ("task_runs", "flow_runs", "engine", "events.clients", "_internal.concurrency")
_SILENT_SERVER = ("Unable to connect to 'ws", "Service 'EventsWorker' failed")
_REPEATED_STATE = ("Task run failed with state", _STATE)


class RunLogHandler(APILogHandler):
    """Sends log records to the Prefect server inside a run; outside a run it does nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        if FlowRunContext.get() or TaskRunContext.get():
            super().emit(record)


def attach() -> None:
    """Attach the handler to the loggers `mlctl` and `storage`, and the filter to Prefect's. Idempotent."""
    for name in ("mlctl", "storage"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        if not any(isinstance(handler, RunLogHandler) for handler in logger.handlers):
            logger.addHandler(RunLogHandler())
    for name in _PREFECT_LOGGERS:
        logging.getLogger(f"prefect.{name}").addFilter(_once)
    set_api_log_sink(_records.add)


def log_console() -> Console:
    """Return the console to which log records are written in the terminal."""
    handlers = (handler for handler in logging.getLogger().handlers if isinstance(handler, PrefectConsoleHandler))
    return next((handler.console for handler in handlers), None) or Console(stderr=True)


class _Records:
    """Log records that wait to be sent. Prefect's own sender writes an error for every batch while the server does not answer."""

    def __init__(self) -> None:
        self.waiting: deque[dict[str, Any]] = deque(maxlen=_MAX_RECORDS)

    def add(self, record: dict[str, Any]) -> None:
        """Send a record with the next call."""
        record.pop("__payload_size__", None)
        self.waiting.append(record)
        calls.add("log", self._send)

    def _send(self, client: SyncPrefectClient) -> None:
        while self.waiting:
            batch = [self.waiting.popleft() for _ in range(min(_BATCH, len(self.waiting)))]
            try:
                client.create_logs(batch)
            except (httpx.TransportError, httpx.HTTPStatusError):
                self.waiting.extendleft(reversed(batch))
                raise


class _Once(logging.Filter):
    """Drops Prefect's records that repeat a fact: the end of a stage, which the stage logs itself, and an error of the level below."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is shown."""
        error = record.exc_info[1] if record.exc_info else None
        if _is_said_elsewhere(record, record.getMessage(), error) or (error is not None and error is self.shown):
            return False
        self.shown = error or self.shown
        return True


def _is_said_elsewhere(record: logging.LogRecord, message: str, error: BaseException | None) -> bool:
    """Return whether mlctl says, or the final state of the run shows, what a record of Prefect's says."""
    if isinstance(error, (InputError, StoreError)):  # the final state has its message; a traceback is for faults of the program
        return True
    if message.startswith(_SILENT_SERVER):  # `server_calls` warns once
        return True
    if record.name.startswith("prefect.task_runs") and message.startswith(_REPEATED_STATE):
        return True
    if _ends_the_process(record):
        return False
    # the command line shows the message, or says that the server is away; or the run that contains this one does
    return message.startswith(f"{_STATE} Failed") or isinstance(error, httpx.TransportError)


_records = _Records()
_once = _Once()


def _ends_the_process(record: logging.LogRecord) -> bool:
    """Return whether a record is of the flow run for which a worker started this process."""
    return str(getattr(record, "flow_run_id", "")) == os.environ.get("PREFECT__FLOW_RUN_ID", "-")
