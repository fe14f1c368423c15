"""Scores of single encoders side by side: a table for people, and rows for programs."""

from __future__ import annotations

import functools
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from mlctl import schema
from mlctl.errors import InputError
from mlctl.evaluation.finetuning.examples import TRAINING_LANGUAGE
from mlctl.evaluation.statistics.item_tables import item_count, read_items, seed_scores
from mlctl.evaluation.statistics.model_comparison import BASE
from mlctl.pipeline.page_file import write_file
from storage import Result

Row = dict[str, Any]

_ENDINGS = (".csv", ".json", ".parquet")


@dataclass(frozen=True)
class TaskScores:
    """A task's scores of several encoders, for people.

    Attributes:
        title: of the task.
        metric: its main metric.
        languages: those that all encoders have scores of, without English if there is another one.
        left_out: those that only some have.
        means: of each encoder over `languages`, in their order, in [0, 1]; None: there is no language that all have.
    """

    title: str
    metric: str
    languages: Sequence[str]
    left_out: Sequence[str]
    means: Sequence[float | None]


def encoder_rows(names: Sequence[str], results: Sequence[Result]) -> list[Row]:
    """Return the rows of `schema.ENCODER_SCORES`: each metric of every encoder, task and language."""
    return [row for name, result in zip(names, results, strict=True) for row in _rows(name, result)]


def task_scores(names: Sequence[str], rows: Sequence[Row]) -> list[TaskScores]:
    """Return the main scores of each task, in the order of the rows."""
    return [
        _task(names, [row for row in rows if row["task"] == task and row["main"]])
        for task in dict.fromkeys(row["task"] for row in rows)
    ]


def check_endings(paths: Sequence[Path]) -> None:
    """Raise an InputError if a file's name has an ending that no table is written with."""
    for path in paths:
        if path.suffix not in _ENDINGS:
            raise InputError(f"{path} ends in none of {', '.join(_ENDINGS)}", "name the table scores.csv or scores.json")


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as CSV, JSON or Parquet, by the ending of the file's name.

    Raises:
        InputError: the file cannot be written.
    """
    write_file(path, functools.partial(_write, rows, path.suffix))


def _write(rows: Sequence[Row], ending: str, path: Path) -> None:
    table = pa.Table.from_pylist(list(rows), schema.ENCODER_SCORES)
    if ending == ".json":
        path.write_text(json.dumps(table.to_pylist(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    elif ending == ".csv":
        csv.write_csv(table, path)
    else:
        pq.write_table(table, path, compression="zstd")


def _rows(name: str, result: Result) -> Iterator[Row]:
    protocol = json.loads((result.folder / "protocol.json").read_text(encoding="utf-8"))
    scores = pq.read_table(result.folder / "scores.parquet").to_pylist()
    model = {
        "model": name,
        "weights": protocol["models"][BASE]["weights"],
        "result": f"{result.manifest.stage}/{result.manifest.key}",
    }
    for entry in protocol["benchmarks"]:
        metadata = entry["metadata"]
        for language, items in sorted(read_items(result.folder, BASE, metadata["task"]).items()):
            of_seeds = seed_scores(items)
            common = {**model, "task": metadata["task"], "title": metadata["title"], "language": language}
            common |= {"items": item_count(items), "seeds": len(of_seeds)}
            deviation = statistics.stdev(of_seeds) if len(of_seeds) > 1 else None
            yield {
                **common,
                "metric": metadata["metric"],
                "main": True,
                "score": statistics.fmean(of_seeds),
                "deviation": deviation,
            }
            for metric, values in _other_metrics(scores, metadata, language).items():
                yield {**common, "metric": metric, "main": False, "score": statistics.fmean(values), "deviation": None}


def _other_metrics(scores: Sequence[Row], metadata: Row, language: str) -> dict[str, list[float]]:
    """Return the metrics beside the main one, of each seed and direction."""
    values: dict[str, list[float]] = {}
    for row in scores:
        if (row["task"], row["language"]) == (metadata["task"], language) and row["metric"] != metadata["metric"]:
            values.setdefault(row["metric"], []).append(row["value"])
    return dict(sorted(values.items()))


def _task(names: Sequence[str], rows: Sequence[Row]) -> TaskScores:
    scores = {(row["model"], row["language"]): row["score"] for row in rows}
    languages = sorted({row["language"] for row in rows})
    common = [language for language in languages if all((name, language) in scores for name in names)]
    zero_shot = [language for language in common if language != TRAINING_LANGUAGE] or common
    means = [statistics.fmean(scores[name, language] for language in zero_shot) if zero_shot else None for name in names]
    left_out = [language for language in languages if language not in common]
    return TaskScores(rows[0]["title"], rows[0]["metric"], zero_shot, left_out, means)
