"""leaderboard: every model that was evaluated in some stores, on one page and as a table."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from pathlib import Path

from mlctl.config import Evaluate
from mlctl.errors import InputError
from mlctl.pipeline.leaderboard_columns import MAX_LANGUAGE_TESTS, board_columns, count_language_tests, draft_columns
from mlctl.pipeline.leaderboard_models import board_models
from mlctl.pipeline.leaderboard_results import FoundResults, find_results, store_name
from mlctl.pipeline.page_file import write_file, write_text
from mlctl.reporting import leaderboard_page, leaderboard_table
from mlctl.reporting.leaderboard_data import BoardModel, Leaderboard
from storage import Store
from storage.session import session


def leaderboard(stores: Sequence[tuple[str, Store]], only: Sequence[str], page: Path, tables: Sequence[Path]) -> Leaderboard:
    """Write the page and the tables of all models of some stores, and return what they show.

    Args:
        stores: each with its name: the folder or URL as it was given.
        only: the models whose name, run or result has one of these texts; empty: all.
        page: file to write.
        tables: files to write, `.csv` or `.parquet`.

    Raises:
        InputError: there is no model, or a file cannot be written or has another ending.
        StoreError: the service behind a store's URL cannot be used.
    """
    leaderboard_table.check_endings(tables)
    with contextlib.ExitStack() as stack:
        found = FoundResults()
        for name, store in stores:
            stack.enter_context(session(store.root))
            find_results(store, store_name(name), found)
        board = _board([store_name(name) for name, _ in stores], found, only)
    write_text(page, leaderboard_page.render(board))
    for table in tables:
        write_file(table, functools.partial(leaderboard_table.write, board, table.suffix))
    return board


def _board(stores: Sequence[str], found: FoundResults, only: Sequence[str]) -> Leaderboard:
    results = list(found.results.values())
    if not results:
        reasons = "".join(f"\n  {one.result}: {one.reason}" for one in found.left_out)
        raise InputError(
            f"no model was evaluated in {', '.join(stores)}{reasons}", "run a recipe to the stage evaluate, or name another store"
        )
    models = [model for model in board_models(results) if not only or _matches(model, only)]
    if not models:
        raise InputError(f"no model matches {', '.join(map(repr, only))}", "`mlctl leaderboard` without --only lists the models")
    drafts = draft_columns(results)
    for draft in drafts:
        draft.keep({model.id for model in models})
    drafts = [draft for draft in drafts if draft.sources]
    resamples = int(Evaluate.model_fields["resamples"].default)
    by_language = count_language_tests(drafts) <= MAX_LANGUAGE_TESTS
    return Leaderboard(stores, models, board_columns(drafts, resamples, by_language), found.left_out, resamples)


def _matches(model: BoardModel, texts: Sequence[str]) -> bool:
    own = [model.name, *model.runs, *model.results, *model.changes]
    return any(text.casefold() in value.casefold() for text in texts for value in own)
