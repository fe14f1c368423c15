"""`mlctl compare`: several runs on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mlctl import config
from storage import Store

_RUNS = "Runs of `mlctl runs`, or how they begin; keys of reports; folders of reports. All are compared with the first."
out = Console(highlight=False)


def compare(
    runs: Annotated[list[str], typer.Argument(help=_RUNS)],
    page: Annotated[str, typer.Option("--page", help="File to write.")] = "compare.html",
    store: Annotated[str, typer.Option("--store", help="Folder of the store.")] = config.Recipe().store,
) -> None:
    """Set two or more runs side by side on one page: settings, benchmarks with tests of the difference, curves, costs."""
    from tasks.compare import compare as make_comparison

    keys = make_comparison(Store(store), runs, Path(page))
    for letter, name, key in zip("ABCDEFGH", runs, keys, strict=False):
        out.print(f"{letter}: {name} (report {key[:8]})", soft_wrap=True)
    out.print(f"page: {Path(page).expanduser().absolute()}", soft_wrap=True)
