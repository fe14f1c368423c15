"""Benchmark section of the page: groups, notes of each benchmark, charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlctl import languages as codes
from mlctl.reporting import charts, formatting
from mlctl.reporting.benchmark_rows import HELD_OUT, group_by_task, has_same_pooling, sort_rows, task_titles

Row = dict[str, Any]

_NOTE_COLUMNS = ("model", "task", "language", "direction")  # shown in columns of their own


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
