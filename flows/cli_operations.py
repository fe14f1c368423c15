"""`mlctl up` and `mlctl down`: Prefect's server, workers and the deployments, on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mlctl.errors import InputError

out = Console(highlight=False)

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
    """Bring up all that this machine needs for deployments: Prefect's server, work pools, workers; say what to open."""
    from flows.machine import PROJECT, Machine, port_of

    folder = _folder(state)
    if not (PROJECT / "prefect.yaml").is_file():
        raise InputError(f"no prefect.yaml in {PROJECT}", "`mlctl up` needs mlctl installed from a clone: `make demo` does so")
    there = port_of(folder)
    if there and port not in {None, there}:
        raise InputError(f"the server is up on port {there}", "`mlctl down` first, or leave --port out")
    machine = Machine(folder, there or port or _DEFAULT_PORT)
    machine.up(lambda line: out.print(line, soft_wrap=True))
    out.print(
        f"\nopen:   {machine.page}\nlogs:   {machine.logs}\nrun:    export PREFECT_API_URL={machine.api}\n"
        "        prefect deployment run pipeline/demo --watch\nend:    mlctl down",
        soft_wrap=True,
    )


def down(state: State = None) -> None:
    """End what `mlctl up` started, and the runs under way: they go on from where they were another time."""
    from flows.machine import down as end

    count = end(_folder(state))
    out.print(f"ended {count} processes" if count else "nothing was up")


def _folder(state: Path | None) -> Path:
    from flows.machine import PROJECT

    return state.expanduser().absolute() if state else PROJECT / ".mlctl"
