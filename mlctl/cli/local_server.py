"""`mlctl up` and `mlctl down`: Prefect's server, workers and deployments on one machine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from mlctl.cli.options import out

State = Annotated[
    Path | None, typer.Option("--state", help="Folder of server data and logs.", show_default=".mlctl in the current folder")
]


def up(
    port: Annotated[
        int | None,
        typer.Option(
            "--port", help="Port of the server and its pages.", min=1, max=65535, show_default="that of the last time, else 4200"
        ),
    ] = None,
    state: State = None,
) -> None:
    """Start Prefect's server, workers and deployments on this machine, for the current folder, and print the addresses."""
    from flows.server.local import LocalServices

    services = LocalServices.of(_folder(state), port)
    services.up(lambda line: out.print(line, soft_wrap=True))
    end = f"mlctl down --state {shlex.quote(str(state))}" if state else "mlctl down"
    out.print(
        f"\nopen:   {services.ui}\nlogs:   {services.logs}\nrun:    export PREFECT_API_URL={services.api}\n"
        f"        prefect deployment run pipeline/demo --watch\nend:    {end}",
        soft_wrap=True,
    )


def down(state: State = None) -> None:
    """Stop what `mlctl up` started, and the current runs: they resume when they are started again."""
    from flows.server.local import down as stop

    folder = _folder(state)
    count = stop(folder)
    out.print(f"stopped {count} processes" if count else f"nothing was running from {folder}", soft_wrap=True)


def _folder(state: Path | None) -> Path:
    from flows.server.local import default_state

    return state.expanduser().absolute() if state else default_state()
