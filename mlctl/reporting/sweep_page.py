"""The page of a sweep: differences with error bars, and tables of each task, language and variant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlctl.reporting import error_bars, html_page, sweep_curves, sweep_tables

_SECTIONS = {
    "differences": "Differences",
    "curves": "Curves",
    "tables": "Tables",
    "languages": "By language",
    "variants": "Variants",
}


def render(figures: Mapping[str, Any]) -> str:
    """Return the page as HTML text.

    Args:
        figures: content of sweep.json.
    """
    tasks = [
        {
            "title": title,
            "task": rows[0]["task"],
            "metric": rows[0]["metric"],
            "rows": [sweep_tables.format_row(row) for row in rows],
            "bars": error_bars.error_bars(rows, _differences(figures, rows[0]["task"])),
        }
        for title, rows in sweep_tables.task_tables(figures)
    ]
    languages = [
        (title, language, [sweep_tables.format_row(row) for row in rows])
        for title, language, rows in sweep_tables.language_tables(figures)
    ]
    axis = sweep_curves.find_axis(figures)
    context = {
        "title": sweep_tables.title(figures),
        "sections": {name: title for name, title in _SECTIONS.items() if axis or name != "curves"},
        "axis": axis,
        "figures": figures,
        "baseline": sweep_tables.describe_baseline(figures["baseline"]),
        "legend": sweep_tables.legend(figures),
        "warnings": [*sweep_tables.incomplete(figures), *sweep_tables.partly_compared(figures)],
        "tasks": tasks,
        "languages": languages,
        "variants": sweep_tables.variant_rows(figures),
        "size": error_bars,
    }
    return html_page.render_template("sweep.html", sweep_curves.curve_charts(figures), context)


def _differences(figures: Mapping[str, Any], task: str) -> dict[str, list[float]]:
    """Return the differences of the trainings of each variant in the average of a task."""
    found: dict[str, list[float]] = {variant["name"]: [] for variant in figures["variants"]}
    for row in figures["trainings"]:
        if row["task"] == task and row["language"] is None and row["difference"] is not None:
            found[row["variant"]].append(row["difference"])
    return found
