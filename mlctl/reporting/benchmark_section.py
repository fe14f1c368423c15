"""What was judged, arranged for people: tasks in order with their names, groups, notes of each benchmark, charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlctl import languages as codes
from mlctl.reporting import charts, formatting

Row = dict[str, Any]

#: Benchmarks on the held-out pairs; all others are published ones.
HELD_OUT = ("sentence-retrieval", "word-retrieval")

_SAID_ELSEWHERE = ("model", "task", "language", "direction")


def titles(protocol: Mapping[str, Any]) -> dict[str, str]:
    """Return the name of each task for people, held-out tasks first, then the recipe's benchmarks, each in order."""
    published = {one["card"]["task"]: one["card"]["title"] for one in protocol["benchmarks"]}
    return {**{task: formatting.task_name(task) for task in HELD_OUT}, **published}


def in_order(rows: Iterable[Row], named: Mapping[str, str]) -> list[Row]:
    """Return rows with `task` in the order of `titles`, languages by name and English last, with `title` of the task."""
    places = {task: place for place, task in enumerate(named)}

    def place(row: Row) -> tuple[Any, ...]:
        language = row.get("language", "en")
        return places.get(row["task"], len(places)), not row.get("zero_shot", True), codes.name(language), row["task"]

    return [{**row, "title": named.get(row["task"], formatting.task_name(row["task"]))} for row in sorted(rows, key=place)]


def written(row: Mapping[str, Any]) -> dict[str, str]:
    """Write a row of a comparison out: `figure`, `base`, `trained` and `difference`, in percent; * marks what is beyond chance."""
    low, high, star = formatting.points(row["low"]), formatting.points(row["high"]), "*" if row["significant"] else ""
    return {
        "figure": formatting.metric(row["metric"]),
        **{model: _share(row[model], row[f"{model}_deviation"]) for model in ("base", "trained")},
        "difference": f"{formatting.points(row['difference'])}{star} ({low} … {high})",
    }


def judged(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page's sections on scores show.

    Returns:
        `groups` (name, mean rows), `english` (rows of what was learned from), `tasks` (a name and the rows of each), `scores`,
        `models` (pooling), `benchmarks` (card, settings, notes) and `charts`.
    """
    named = titles(figures["protocol"])
    rows, means = (in_order(figures[name], named) for name in ("benchmark", "means"))
    groups = {
        "Held-out pairs": [row for row in means if row["task"] in HELD_OUT],
        "Published benchmarks": [row for row in means if row["task"] not in HELD_OUT],
    }
    tasks = [(task, [row for row in rows if row["task"] == task]) for task in dict.fromkeys(row["task"] for row in rows)]
    return {
        "groups": [(name, several) for name, several in groups.items() if several],
        "english": [row for row in rows if not row["zero_shot"]],
        "tasks": tasks,
        "scores": in_order(figures["scores"], named),
        "models": _models(figures["protocol"]),
        "benchmarks": [_described(one, figures["protocol"]["notes"]) for one in figures["protocol"]["benchmarks"]],
        "charts": {
            **({"heat": heat(rows)} if rows else {}),
            **{f"benchmark-{task}": charts.benchmark_chart(several) for task, several in tasks},
        },
    }


def heat(rows: Sequence[Row]) -> charts.Spec:
    """Draw the differences of rows in order, task by language; English, which benchmarks learn from, stands last."""
    cells = [
        {
            "task": row["title"],
            "language": _language(row),
            "change": row["difference"],
            "sure": row["significant"],
            "said": f"{formatting.points(row['low'])} to {formatting.points(row['high'])}, p {formatting.chance(row['corrected'])}",
        }
        for row in rows
    ]
    ranked = sorted(rows, key=lambda row: (not row["zero_shot"], codes.name(row["language"])))
    languages = list(dict.fromkeys(_language(row) for row in ranked))
    return charts.heat_chart(cells, list(dict.fromkeys(row["title"] for row in rows)), languages)


def _share(value: float, deviation: float | None) -> str:
    return formatting.percent(value) + (f" ± {100 * deviation:.1f}" if deviation is not None else "")


def _language(row: Row) -> str:
    return codes.name(row["language"]) if row["zero_shot"] else f"{codes.name(row['language'])} (learned)"


def _models(protocol: Mapping[str, Any]) -> list[Row]:
    """Return for each model how its sentence vectors are pooled, and what else was tried; nothing where no benchmark asked."""
    return [
        {
            "model": name,
            "pooling": formatting.pooling(said["pooling"]),
            "dev": said.get("tried", {}).get("language"),
            "tried": [(formatting.pooling(pool), share) for pool, share in said.get("tried", {}).get("accuracy", {}).items()],
        }
        for name, said in protocol["models"].items()
        if "pooling" in said
    ]


def _described(benchmark: Mapping[str, Any], notes: Iterable[Row]) -> Row:
    mine = [note for note in notes if note["task"] == benchmark["card"]["task"]]
    return {
        **benchmark,
        "notes": [
            {**note, "said": {name: value for name, value in note.items() if name not in _SAID_ELSEWHERE}} for note in mine
        ],
    }
