"""Sends the library's log records to the page of the Prefect run, besides the terminal."""

from __future__ import annotations

import logging

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler


class RunLogHandler(APILogHandler):
    """Sends log records to the Prefect server inside a run; outside a run it does nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        if FlowRunContext.get() or TaskRunContext.get():
            super().emit(record)


def attach() -> None:
    """Attach the handler to the loggers `mlctl` and `storage`. Idempotent."""
    for name in ("mlctl", "storage"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        if not any(isinstance(handler, RunLogHandler) for handler in logger.handlers):
            logger.addHandler(RunLogHandler())
