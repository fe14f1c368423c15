"""`mlctl up` and `mlctl down`: Prefect's server, workers and deployments on one services."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlctl.cli.options import out
from mlctl.errors import InputError

_DEFAULT_PORT = 4200
State = Annotated[
    Path | None, typer.Option("--state", help="Folder of server data and logs.", show_default=".mlctl of the project")
]


def up(
    port: Annotated[
        int | None, typer.Option("--port", help="Port of the server and its pages.", show_default=str(_DEFAULT_PORT))
    ] = None,
    state: State = None,
) -> None:
    """Start Prefect's server, workers and deployments on this machine, and print the addresses."""
    from flows.server.local import PROJECT, LocalServices, port_of

    folder = _folder(state)
    if not (PROJECT / "prefect.yaml").is_file():
        raise InputError(f"no prefect.yaml in {PROJECT}", "`mlctl up` needs an installation from a clone: run `make demo` there")
    running = port_of(folder)
    if running and port not in {None, running}:
        raise InputError(f"the server is running on port {running}", "run `mlctl down` first, or omit --port")
    services = LocalServices(folder, running or port or _DEFAULT_PORT)
    services.up(lambda line: out.print(line, soft_wrap=True))
    out.print(
        f"\nopen:   {services.ui}\nlogs:   {services.logs}\nrun:    export PREFECT_API_URL={services.api}\n"
        "        prefect deployment run pipeline/demo --watch\nend:    mlctl down",
        soft_wrap=True,
    )


def down(state: State = None) -> None:
    """Stop what `mlctl up` started, and the current runs: they resume when they are started again."""
    from flows.server.local import down as stop

    count = stop(_folder(state))
    out.print(f"stopped {count} processes" if count else "nothing was running")


def _folder(state: Path | None) -> Path:
    from flows.server.local import PROJECT

    return state.expanduser().absolute() if state else PROJECT / ".mlctl"
