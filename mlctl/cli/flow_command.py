"""What every command that runs a flow in this process has in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlctl.cli.options import out
from mlctl.core.interruption import ending_on_signals
from mlctl.core.url_redaction import redact_url
from mlctl.errors import InputError

if TYPE_CHECKING:
    from mlctl.pipeline.stage import Ref

_SETTINGS_FILES = (".env", "prefect.toml", "pyproject.toml")  # of the current folder: Prefect reads its settings there, too


def names_server() -> bool:
    """Return whether the environment or a profile names a Prefect server; Prefect, which takes a second to import, is asked only if there is one."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml")).expanduser()
    if "PREFECT_API_URL" not in os.environ and not profiles.exists() and not any(map(os.path.exists, _SETTINGS_FILES)):
        return False
    from flows.server.connection import configured_server  # not Prefect itself: `flows` sets its defaults before it is imported

    return bool(configured_server())


def run_flow(store: str, load: Callable[[], Callable[[], Any]]) -> Any:
    """Run a flow and return its final state, which is completed. Signals end the process; all children end with it.

    Args:
        store: of the recipe.
        load: imports the flow, and returns a function that runs it and returns its final state.

    Raises:
        InputError: the Prefect server cannot be used, or the flow failed.
    """
    with ending_on_signals(f"finished work is kept in {redact_url(store)}: run the same command again to resume"):
        import httpx

        from flows.server.connection import check_server
        from flows.server.local import link_reports
        from flows.server.orphan_reaper import reaping

        check_server()
        link_reports()
        try:
            with reaping(load) as start:
                state = start()
        except httpx.TransportError as error:
            state = _finished_without_server(error)
    if not state.is_completed():
        raise InputError(state.message or "the run did not complete")
    return state


def run_comparison(store: str, load: Callable[[], Callable[[], Any]], show: Callable[[Ref], None]) -> None:
    """Run a flow that compares runs, and show what it has compared, also if some runs failed.

    Args:
        store: of the recipe.
        load: imports the flow, and returns a function that runs it and returns its final state.
        show: prints a result.

    Raises:
        InputError: the Prefect server cannot be used, or the flow failed.
    """
    compared: list[Ref] = []

    def load_recorded() -> Callable[[], Any]:
        from flows.flow_run import finished

        run = load()

        def start() -> Any:
            before = len(finished)
            state = run()
            compared.extend(finished[before:])
            return state

        return start

    try:
        state = run_flow(store, load_recorded)
    finally:
        for ref in compared:
            show(ref)
    out.print(state.message, soft_wrap=True, markup=False)


def _finished_without_server(error: Exception) -> Any:
    """Return the final state of a run whose end the Prefect server could not record.

    Raises:
        InputError: the server stopped answering before the run had a result.
    """
    from prefect.states import Completed

    from flows.flow_run import finished

    if not finished:
        remedy = "start it (`mlctl up`), or unset PREFECT_API_URL to run without one; finished work is kept"
        raise InputError(f"the Prefect server does not answer: {error}", remedy) from None
    problem = "the Prefect server did not answer when the run ended: its page does not show the end"
    out.print(problem, soft_wrap=True)
    return Completed(message=problem, data=finished[-1])
