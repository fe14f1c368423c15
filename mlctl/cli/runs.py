"""`mlctl runs` and `mlctl export`: what ran, and a run's model in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from mlctl.cli.options import DEFAULT_STORE, StoreFolder, out
from storage import Store
from storage.run_log import RunLog


def runs(store: StoreFolder = DEFAULT_STORE) -> None:
    """List the runs of a store, newest first."""
    table = Table("run", "recipe", "status", "seconds", "computed", "cached", "error")
    for run in RunLog(Store(store)).runs():
        computed = [stage.stage for stage in run.stages if stage.state == "computed"]
        cached = [stage.stage for stage in run.stages if stage.state == "cached"]
        seconds = sum(stage.seconds for stage in run.stages)
        error = run.error.partition("\n")[0]
        name = str(run.recipe.get("name", ""))
        table.add_row(run.id, name, run.status, f"{seconds:.0f}", ", ".join(computed), ", ".join(cached), error)
    out.print(table)


def export(
    folder: Annotated[str, typer.Argument(help="Folder to write: a new one, or that of an earlier export.")],
    run: Annotated[str, typer.Option("--run", help="Id of a run (`mlctl runs`) or a prefix of it; default: the newest.")] = "",
    store: StoreFolder = DEFAULT_STORE,
    force: Annotated[
        bool, typer.Option("--force", help="Export it even if it is significantly worse than its base model.")
    ] = False,
) -> None:
    """Export a run's model, its card, attribution and figures into one folder, ready to publish."""
    from mlctl.pipeline.export import export as export_run

    exported = export_run(Store(store), Path(folder), run, force=force)
    out.print(f"run:    {exported.id} ({exported.recipe.get('name', '')})")
    out.print(f"folder: {Path(folder).expanduser().absolute()}", soft_wrap=True)
