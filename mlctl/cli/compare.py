"""`mlctl compare`: several runs on one page."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Annotated

import typer

from mlctl.cli.options import DEFAULT_STORE, OptionalRecipe, StoreFolder, existing_store, out

_RUNS = "Ids of runs (`mlctl runs`), keys of reports (`mlctl store ls`) or prefixes of them, or folders of reports. All are compared with the first."


def compare(
    runs: Annotated[list[str], typer.Argument(help=_RUNS)],
    page: Annotated[str, typer.Option("--page", help="File to write.")] = "compare.html",
    recipe: OptionalRecipe = "",
    store: StoreFolder = DEFAULT_STORE,
) -> None:
    """Compare two or more runs on one page: settings, benchmarks with tests of the difference, curves, costs."""
    from mlctl.pipeline.compare_runs import compare as compare_runs

    keys = compare_runs(existing_store(store, recipe), runs, Path(page))
    for letter, name, key in zip(string.ascii_uppercase, runs, keys, strict=False):
        out.print(f"{letter}: {name} (report {key[:8]})", soft_wrap=True)
    out.print(f"page: {Path(page).expanduser().absolute()}", soft_wrap=True)
