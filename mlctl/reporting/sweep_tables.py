"""The tables of a sweep as text: formatted cells, Markdown, CSV. All are pure functions of the content of sweep.json."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlctl.reporting import formatting, markdown

Row = dict[str, Any]

#: What the columns mean; `%s` is the baseline.
LEGEND = (
    "Scores in %, means over languages without English; ± is the standard deviation over trainings. Differences to the baseline (%s) are in "
    "points, between trainings of equal seeds, with the 95% interval of a paired bootstrap over items and trainings. p is of an approximate "
    "randomisation over items, corrected over the variants of a task (Holm). * marks p below 0.05 and an interval without 0. Better, worse: "
    "trainings whose own difference is significant."
)

_NOT_COMPARED = "–"
#: Columns of a comparison, in CSV files.
COMPARISON_COLUMNS = (
    "baseline",
    "baseline_deviation",
    "score",
    "score_deviation",
    "difference",
    "difference_deviation",
    "low",
    "high",
    "p",
    "corrected",
    "significant",
)
_CSV_COLUMNS = (
    "task",
    "language",
    "variant",
    "metric",
    "languages",
    "compared_languages",
    "trainings",
    "compared_trainings",
    *COMPARISON_COLUMNS,
    "better",
    "worse",
)


def legend(figures: Mapping[str, Any]) -> str:
    """Return what the columns of the tables mean."""
    return LEGEND.replace("%s", describe_baseline(figures["baseline"]))


def describe_baseline(baseline: str) -> str:
    """Return the baseline in words."""
    return "the base model of each run" if baseline == "base" else baseline


def format_row(row: Mapping[str, Any]) -> dict[str, str]:
    """Format a row of a task's table: `variant`, `baseline`, `score`, `difference`, `interval`, `p`, `better, worse`."""
    cells = {"variant": str(row["variant"]), "baseline": _score(row, "baseline"), "score": _score(row, "score")}
    cells["difference"] = _difference(row)
    if "low" in row:
        tested = row["p"] is not None
        cells["95% interval"] = f"{_points(row['low'])} … {_points(row['high'])}" if tested else ""
        cells["p"] = formatting.format_p_value(row["corrected"]) if tested else ""
    compared = row["compared_trainings"]
    cells["better, worse"] = f"{row['better']}, {row['worse']} of {compared}" if compared else ""
    return cells


def task_tables(figures: Mapping[str, Any]) -> list[tuple[str, list[Row]]]:
    """Return the title of each task and its rows of averages, tasks in order."""
    tasks = dict.fromkeys(row["task"] for row in figures["averages"])
    return [(_title(figures, task), [row for row in figures["averages"] if row["task"] == task]) for task in tasks]


def language_tables(figures: Mapping[str, Any]) -> list[tuple[str, str, list[Row]]]:
    """Return title, language and rows of each task and language, in order."""
    groups = dict.fromkeys((row["task"], row["language"]) for row in figures["languages"])
    return [
        (
            _title(figures, task),
            language,
            [row for row in figures["languages"] if (row["task"], row["language"]) == (task, language)],
        )
        for task, language in groups
    ]


def incomplete(figures: Mapping[str, Any]) -> list[str]:
    """Return a line for each variant with failed trainings."""
    return [f"{variant['name']}: {_seeds(variant['failed'])} failed" for variant in figures["variants"] if variant["failed"]]


def partly_compared(figures: Mapping[str, Any]) -> list[str]:
    """Return a line for each variant and task that the baseline was not evaluated on with the same items."""
    return [
        f"{row['variant']}, {_title(figures, row['task'])}: compared in {row['compared_languages']} of {row['languages']} languages: the "
        "baseline was evaluated on other items or with another protocol"
        for row in figures["averages"]
        if row["variant"] != figures["baseline"] and row["compared_languages"] < row["languages"] and row["trainings"]
    ]


def title(figures: Mapping[str, Any]) -> str:
    """Return the title of a sweep's page and tables."""
    count = len(figures["variants"])
    return f"{figures['name']}: {count} variant{'' if count == 1 else 's'} of {figures['recipe']}"


def to_markdown(figures: Mapping[str, Any]) -> str:
    """Return the tables of averages, and what the variants change, as Markdown."""
    parts = [f"# {title(figures)}", legend(figures)]
    parts += [f"- {line}" for line in (*incomplete(figures), *partly_compared(figures))]
    for task, rows in task_tables(figures):
        parts += [f"## {task} ({_subtitle(rows)})", markdown.table([format_row(row) for row in rows])]
    return "\n\n".join([*parts, "## Variants", markdown.table(variant_rows(figures))]) + "\n"


def variant_rows(figures: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the name, the changed settings and the seeds of each variant."""
    return [
        {
            "variant": variant["name"],
            "settings": ", ".join(f"{name}={formatting.format_setting(value)}" for name, value in variant["settings"].items()),
            "seeds": " ".join(map(str, variant["seeds"]))
            + (f" ({_seeds(variant['failed'])} failed)" if variant["failed"] else ""),
        }
        for variant in figures["variants"]
    ]


def to_csv(figures: Mapping[str, Any]) -> str:
    """Return the averages (language: empty) and each language as CSV, with a column for each setting that a variant changes."""
    settings = {variant["name"]: variant["settings"] for variant in figures["variants"]}
    changed = list(dict.fromkeys(name for values in settings.values() for name in values))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_CSV_COLUMNS, *changed])
    for row in (*figures["averages"], *figures["languages"]):
        of_variant = settings[row["variant"]]
        values = [row.get(name) for name in _CSV_COLUMNS] + [of_variant.get(name) for name in changed]
        writer.writerow(map(_csv_value, values))
    return text.getvalue()


def _csv_value(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (bool, list, dict)) else value


def _title(figures: Mapping[str, Any], task: str) -> str:
    return str(figures["titles"].get(task, formatting.format_task_name(task)))


def _subtitle(rows: Sequence[Mapping[str, Any]]) -> str:
    languages = {row["languages"] for row in rows}
    count = " or ".join(map(str, sorted(languages)))
    return f"{formatting.format_metric(rows[0]['metric'])}, {count} language{'' if languages == {1} else 's'}"


def _score(row: Mapping[str, Any], name: str) -> str:
    if row[name] is None:
        return _NOT_COMPARED
    deviation = row[f"{name}_deviation"]
    varies = deviation is not None and (name == "score" or deviation > 0)  # a base model that no seed changes has none
    return f"{100 * row[name]:.1f}" + (f" ± {100 * deviation:.1f}" if varies else "")


def _difference(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return _NOT_COMPARED
    deviation = row["difference_deviation"]
    star = "*" if row.get("significant") else ""
    return f"{_points(row['difference'])}{star}" + (f" ± {100 * deviation:.1f}" if deviation is not None else "")


def _points(share: float) -> str:
    return formatting.format_points(share)


def _seeds(seeds: Iterable[int]) -> str:
    numbers = list(map(str, seeds))
    return f"{'seed' if len(numbers) == 1 else 'seeds'} {', '.join(numbers)}"
