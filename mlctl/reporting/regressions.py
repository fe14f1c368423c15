"""Tasks on which a trained model is significantly worse than the model that it started from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlctl.reporting import benchmark_rows, formatting

Row = dict[str, Any]


def regressions(report: Path) -> list[str]:
    """Return the tasks of a report on which the trained model is worse, with their figures; see `worse_tasks`."""
    figures = json.loads((report / "figures.json").read_text(encoding="utf-8"))
    return worse_tasks(figures["benchmark"], figures["means"], benchmark_rows.task_titles(figures["protocol"]))


def worse_tasks(rows: Sequence[Row], means: Sequence[Row], titles: Mapping[str, str]) -> list[str]:
    """Return "Tatoeba 88.0 → 82.5 (−5.5, 95% interval −7.0 … −4.1)" for each task whose score is significantly below the base model's.

    The score of a task is its mean over languages without English; of a task in English alone, that.

    Args:
        rows: `tables.benchmark_rows`.
        means: `tables.mean_rows`.
        titles: task → title.
    """
    with_mean = {mean["task"] for mean in means}
    scores = [*means, *(row for row in rows if row["task"] not in with_mean)]
    worse = [row for row in scores if row["significant"] and row["difference"] < 0]
    return [_describe(row) for row in benchmark_rows.sort_rows(worse, titles)]


def _describe(row: Row) -> str:
    difference, low, high = (formatting.format_points(row[name]) for name in ("difference", "low", "high"))
    scores = f"{100 * row['base']:.1f} → {100 * row['trained']:.1f}"
    return f"{row['title']} {scores} ({difference}, 95% interval {low} … {high})"
