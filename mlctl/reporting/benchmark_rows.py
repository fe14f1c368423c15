"""Rows of the benchmark tables: the order, the names and the texts in which every page, card and log shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlctl import languages as codes
from mlctl.reporting import formatting

Row = dict[str, Any]

#: Tasks on the held-out pairs; all others are published benchmarks.
HELD_OUT = ("sentence-retrieval", "word-retrieval")


def task_titles(protocol: Mapping[str, Any]) -> dict[str, str]:
    """Return the title of each task: held-out tasks first, then the recipe's benchmarks, each in order."""
    published = {benchmark["metadata"]["task"]: benchmark["metadata"]["title"] for benchmark in protocol["benchmarks"]}
    return {**{task: formatting.format_task_name(task) for task in HELD_OUT}, **published}


def sort_rows(rows: Iterable[Row], titles: Mapping[str, str]) -> list[Row]:
    """Return rows with `title`, sorted by task in the order of `titles`, then by language name, English last."""
    ranks = {task: rank for rank, task in enumerate(titles)}

    def order(row: Row) -> tuple[Any, ...]:
        language = row.get("language", "en")
        return ranks.get(row["task"], len(ranks)), not row.get("zero_shot", True), codes.name(language), row["task"]

    return [
        {**row, "title": titles.get(row["task"], formatting.format_task_name(row["task"]))} for row in sorted(rows, key=order)
    ]


def sort_tasks(rows: Iterable[Row], titles: Mapping[str, str]) -> list[Row]:
    """Return rows sorted by task in the order of `titles`, and otherwise as they are; tasks without a title are left out."""
    ranks = {task: rank for rank, task in enumerate(titles)}
    return sorted((row for row in rows if row["task"] in ranks), key=lambda row: ranks[row["task"]])


def group_by_task(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return the rows of each task, tasks in the order of the rows."""
    return [(task, [row for row in rows if row["task"] == task]) for task in dict.fromkeys(row["task"] for row in rows)]


def has_same_pooling(rows: Iterable[Row]) -> bool:
    """Return whether the base model was also evaluated with the trained model's pooling, because its own is another."""
    return any(row.get("base_same_pooling") is not None for row in rows)


def format_row(row: Mapping[str, Any]) -> dict[str, str]:
    """Format a row of a comparison: `metric`, `base`, `trained` and `difference`, in percent; * marks a significant difference.

    `base_same_pooling` is added where that is another score than `base`.
    """
    same = row.get("base_same_pooling")
    low, high, star = (
        formatting.format_points(row["low"]),
        formatting.format_points(row["high"]),
        "*" if row["significant"] else "",
    )
    return {
        "metric": formatting.format_metric(row["metric"]),
        "base": _format_score(row["base"], row["base_deviation"]),
        **({} if same is None else {"base_same_pooling": formatting.format_percent(same)}),
        "trained": _format_score(row["trained"], row["trained_deviation"]),
        "difference": f"{formatting.format_points(row['difference'])}{star} ({low} … {high})",
    }


def _format_score(value: float, deviation: float | None) -> str:
    return formatting.format_percent(value) + (f" ± {100 * deviation:.1f}" if deviation is not None else "")
