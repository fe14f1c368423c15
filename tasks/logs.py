"""The library's log lines, shown on the run's Prefect page as well as in the terminal."""

from __future__ import annotations

import logging

from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler


class RunLogHandler(APILogHandler):
    """Sends log lines to the Prefect server while a run is under way; outside of one there is nobody to show them to."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        if FlowRunContext.get() or TaskRunContext.get():
            super().emit(record)


def attach() -> None:
    """Show the lines of `mlctl` and `storage`. Called again it changes nothing."""
    for name in ("mlctl", "storage"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        if not any(isinstance(handler, RunLogHandler) for handler in logger.handlers):
            logger.addHandler(RunLogHandler())
