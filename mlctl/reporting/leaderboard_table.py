"""The leaderboard as a table for programs: CSV or Parquet, by the ending of the file's name."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from mlctl import schema
from mlctl.errors import InputError
from mlctl.reporting.leaderboard_data import BoardColumn, BoardModel, BoardScore, Leaderboard
from mlctl.reporting.published_scores import PUBLISHED, PublishedModel

Row = dict[str, Any]

_ENDINGS = (".csv", ".parquet")


def check_endings(paths: Sequence[Path]) -> None:
    """Raise an InputError if a file's name has an ending that no table is written with."""
    for path in paths:
        if path.suffix not in _ENDINGS:
            raise InputError(f"{path} ends in neither {' nor '.join(_ENDINGS)}", "name the table board.csv or board.parquet")


def write(board: Leaderboard, ending: str, path: Path) -> None:
    """Write the rows of `schema.LEADERBOARD` in the format of an ending to a file of any name."""
    table = pa.Table.from_pylist(list(rows(board)), schema.LEADERBOARD)
    if ending == ".csv":
        csv.write_csv(table, path)
    else:
        pq.write_table(table, path, compression="zstd")


def rows(board: Leaderboard) -> Iterator[Row]:
    """Yield a row for each metric of every model, task and language, and then the published averages."""
    models = {model.id: model for model in board.models}
    for column in board.columns:
        for language, of_language in sorted(column.scores.items()):
            for name, score in sorted(of_language.items()):
                yield from _rows_of_score(models[name], column, language, score)
    for published in PUBLISHED:
        yield from (_published_row(published, task, score) for task, score in published.scores.items())


def _rows_of_score(model: BoardModel, column: BoardColumn, language: str, score: BoardScore) -> Iterator[Row]:
    common = {
        "model": model.id,
        "name": model.name,
        "kind": model.kind,
        "run": model.runs[0] if model.runs else "",
        "changes": " ".join(model.changes),
        "created": model.created,
        "weights": model.weights,
        "task": column.task,
        "set": column.note,
        "language": language,
        "seeds": len(score.seeds),
        "items": score.items,
        "source": "",
    }
    deviation = statistics.stdev(score.seeds) if len(score.seeds) > 1 else None
    yield {**common, "metric": column.metric, "main": True, "score": statistics.fmean(score.seeds), "deviation": deviation}
    for metric, value in sorted(score.others.items()):
        yield {**common, "metric": metric, "main": False, "score": value, "deviation": None}


def _published_row(published: PublishedModel, task: str, score: float) -> Row:
    empty = dict.fromkeys(("model", "run", "changes", "created", "weights", "set", "language", "metric"), "")
    return {
        **empty,
        "name": published.name,
        "kind": "published",
        "task": task,
        "main": True,
        "score": score / 100,
        "source": published.source,
    }
