"""`mlctl leaderboard`: every model that was evaluated in some stores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlctl.cli.options import DEFAULT_STORE, existing_store, out
from mlctl.core.url_redaction import redact_url

_NAME_STORE = "name an existing folder or a URL: `mlctl leaderboard STORE`; or set MLCTL_STORE"


def leaderboard(
    stores: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STORE]...",
            help="Folders or URLs of stores; default: MLCTL_STORE, else mlctl-store in the current folder.",
            show_default=False,
        ),
    ] = None,
    page: Annotated[str, typer.Option("--page", help="File to write.")] = "leaderboard.html",
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            help="Also write the scores as a table: FILE.csv or FILE.parquet. It may be given several times.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            help="Only models with this text in their name, run, key or changed settings. It may be given several times.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show every model that was evaluated in one or several stores on one page: all tasks and languages, tests of any two models."""
    from mlctl.pipeline.leaderboard import leaderboard as make_leaderboard

    opened = [
        (name or str(store.root), store)
        for name in stores or [DEFAULT_STORE]
        for store in [existing_store(name, option="STORE", remedy=_NAME_STORE)]
    ]
    board = make_leaderboard(opened, only or (), Path(page), [Path(name) for name in table or ()])
    for one in board.left_out:
        out.print(f"left out: {one.result[:20]} of {redact_url(one.store)}: {one.reason}", soft_wrap=True, markup=False)
    out.print(f"{len(board.models)} models, {len(board.columns)} tasks")
    for path in (page, *(table or ())):
        out.print(f"{'page' if path is page else 'table'}: {Path(path).expanduser().absolute()}", soft_wrap=True, markup=False)
