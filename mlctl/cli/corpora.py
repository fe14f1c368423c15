"""`mlctl corpora`: find published corpora."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from mlctl import config

if TYPE_CHECKING:
    from mlctl.corpora.catalog.search import CatalogEntry, SearchResult

corpora_app = typer.Typer(no_args_is_help=True, help="Find published corpora.")


@corpora_app.callback()
def _corpora() -> None:
    """Find published corpora."""


@corpora_app.command("search")
def search(
    pair: Annotated[str, typer.Argument(help="Two languages in any notation: en-sw, eng-cmn_Hans.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings to change, e.g. download.opus_api=…", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the corpora that OPUS and mtdata's index have for a pair, with the entry of `download.sources` for each."""
    settings = config.parse({}, "settings", overrides or ()).download
    from mlctl.corpora.catalog.search import search as search_corpora

    logging.getLogger("mlctl.corpora.transfer").setLevel(logging.ERROR)  # a missing index is reported below
    with Console(stderr=True).status("asking OPUS and mtdata's index (the first use takes about 20 s)"):
        found = search_corpora(pair, settings)
    if as_json:
        _print_json(found)
    else:
        _print(found)


def _print_json(found: SearchResult) -> None:
    import json
    from dataclasses import asdict

    values = {**asdict(found), "unavailable": {index: error.problem for index, error in found.unavailable.items()}}
    print(json.dumps(values, ensure_ascii=False, indent=1))


def _print(found: SearchResult) -> None:
    out = Console(highlight=False)
    out.print(_table(found) if found.corpora else f"no corpus is listed for {found.source}-{found.target}")
    if found.unsupported:
        out.print(f"{found.unsupported} more in mtdata's index have unsupported formats or are data sets of the Hugging Face hub")
    for index, error in found.unavailable.items():
        out.print(Text(f"without {index}: {error}"), soft_wrap=True)


def _table(found: SearchResult) -> Table:
    table = Table(
        Column("pairs", justify="right", no_wrap=True),
        Column("MB", justify="right", no_wrap=True),
        Column("licence", overflow="fold"),
        Column("entry of download.sources", overflow="fold"),
        title=f"{len(found.corpora)} corpora for {found.source}-{found.target}",
        title_justify="left",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for entry in found.corpora:
        pairs = "" if entry.pairs is None else f"{entry.pairs:,}"
        size = "" if entry.size_kb is None else f"{entry.size_kb / 1000:,.1f}"
        table.add_row(pairs, size, entry.licence, Text(_format_entry(entry)))
    return table


def _format_entry(entry: CatalogEntry) -> str:
    import yaml

    return yaml.safe_dump(entry.recipe, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000).strip()
