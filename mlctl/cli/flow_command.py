"""What every command that runs a flow in this process has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlctl.core.interruption import ending_on_signals
from mlctl.core.url_redaction import redact_url
from mlctl.errors import InputError


def run_flow(store: str, start: Callable[[], Any]) -> Any:
    """Run a flow and return its final state, which is completed. Signals end the process; all children end with it.

    Args:
        store: of the recipe.
        start: imports the flow and runs it.

    Raises:
        InputError: the Prefect server cannot be used, or the flow failed.
    """
    with ending_on_signals(f"finished work is kept in {redact_url(store)}: run the same command again to resume"):
        from flows.server.connection import check_server
        from flows.server.orphan_reaper import reaping

        check_server()
        with reaping():
            state = start()
    if not state.is_completed():
        raise InputError(state.message or "the run did not complete")
    return state
