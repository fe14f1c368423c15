"""Benchmark section of the page: rows in the order and with the names that are shown, groups, notes of each benchmark, charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlctl import languages as codes
from mlctl.reporting import charts, formatting

Row = dict[str, Any]

#: Tasks on the held-out pairs; all others are published benchmarks.
HELD_OUT = ("sentence-retrieval", "word-retrieval")

_NOTE_COLUMNS = ("model", "task", "language", "direction")  # shown in columns of their own


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


def benchmark_context(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template variables of the sections on scores.

    Returns:
        `groups` (name, mean rows), `english` (rows of the fine-tuning language), `modes` (zero-shot against
        translate-train), `tasks` (a name and the rows of each), `scores`,
        `models` (pooling), `searched` (those with a search for it), `base_name`, `base_note`, `same_pooling` (whether there is such a
        column), `benchmarks` (metadata, settings, notes) and `charts`.
    """
    titles = task_titles(figures["protocol"])
    rows, means = (sort_rows(figures[name], titles) for name in ("benchmark", "means"))
    groups = {
        "Held-out pairs": [row for row in means if row["task"] in HELD_OUT],
        "Published benchmarks": [row for row in means if row["task"] not in HELD_OUT],
    }
    tasks = group_by_task(rows)
    notes = figures["protocol"]["notes"]
    return {
        "groups": [(name, group) for name, group in groups.items() if group],
        "english": [row for row in rows if not row["zero_shot"]],
        "modes": _mode_rows(figures["translate_train"], titles),
        "tasks": tasks,
        "scores": sort_rows(figures["scores"], titles),
        "models": _poolings(figures["protocol"]),
        "searched": [model for model in _poolings(figures["protocol"]) if model["accuracies"]],
        "base_name": formatting.name_base(figures["protocol"]["base"]),
        "base_note": formatting.describe_base_vectors(figures["protocol"]),
        "same_pooling": has_same_pooling(rows),
        "benchmarks": [_with_notes(benchmark, notes) for benchmark in figures["protocol"]["benchmarks"]],
        "charts": {
            **({"heat": difference_heatmap(rows)} if rows else {}),
            **{f"benchmark-{task}": charts.benchmark_chart(task_rows) for task, task_rows in tasks},
        },
    }


def _mode_rows(rows: Iterable[Row], titles: Mapping[str, str]) -> list[Row]:
    """Return the rows of the comparison of modes with titles: by task and model, the mean first, then languages by name."""

    def order(row: Row) -> tuple[Any, ...]:
        language = row["language"]
        return list(titles).index(row["task"]), row["model"], language is not None, language == "en", codes.name(language or "en")

    return [{**row, "title": titles[row["task"]]} for row in sorted(rows, key=order)]


def has_same_pooling(rows: Iterable[Row]) -> bool:
    """Return whether the base model was also evaluated with the trained model's pooling, because its own is another."""
    return any(row.get("base_same_pooling") is not None for row in rows)


def group_by_task(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return the rows of each task, tasks in the order of the rows."""
    return [(task, [row for row in rows if row["task"] == task]) for task in dict.fromkeys(row["task"] for row in rows)]


def difference_heatmap(rows: Sequence[Row]) -> charts.Spec:
    """Return the heat map of the differences of `sort_rows`, task by language; English, the fine-tuning language, is last."""
    cells = [
        {
            "task": row["title"],
            "language": _language_label(row),
            "change": row["difference"],
            "significant": row["significant"],
            "uncertainty": f"{formatting.format_points(row['low'])} to {formatting.format_points(row['high'])}, "
            f"p {formatting.format_p_value(row['corrected'])}",
        }
        for row in rows
    ]
    ordered = sorted(rows, key=lambda row: (not row["zero_shot"], codes.name(row["language"])))
    languages = list(dict.fromkeys(_language_label(row) for row in ordered))
    return charts.heat_chart(cells, list(dict.fromkeys(row["title"] for row in rows)), languages)


def _format_score(value: float, deviation: float | None) -> str:
    return formatting.format_percent(value) + (f" ± {100 * deviation:.1f}" if deviation is not None else "")


def _language_label(row: Row) -> str:
    return codes.name(row["language"]) if row["zero_shot"] else f"{codes.name(row['language'])} (fine-tuning)"


def _poolings(protocol: Mapping[str, Any]) -> list[Row]:
    """Return each model's pooling and the accuracies of the search for it; nothing if no benchmark needed sentence embeddings."""
    return [
        {
            "model": name,
            "pooling": entry["pooling"],
            "dev": entry.get("pooling_search", {}).get("language"),
            "accuracies": list(entry.get("pooling_search", {}).get("accuracies", {}).items()),
        }
        for name, entry in protocol["models"].items()
        if "pooling" in entry
    ]


def _with_notes(benchmark: Mapping[str, Any], notes: Iterable[Row]) -> Row:
    own_notes = [
        {**note, "details": {name: value for name, value in note.items() if name not in _NOTE_COLUMNS}}
        for note in notes
        if note["task"] == benchmark["metadata"]["task"]
    ]
    return {**benchmark, "notes": own_notes}
