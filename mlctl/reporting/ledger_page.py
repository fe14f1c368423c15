"""The page of a ledger: what each component is worth with error bars, tables, costs and licences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlctl.reporting import error_bars, html_page, ledger_tables

_SECTIONS = {"worth": "Worth", "tables": "Tables", "costs": "Costs and licences", "languages": "By language"}


def render(figures: Mapping[str, Any], costs: Mapping[str, Any]) -> str:
    """Return the page as HTML text.

    Args:
        figures: content of ledger.json.
        costs: content of costs.json.
    """
    kinds = [
        {
            "title": ledger_tables.KIND_TITLES[kind],
            "drawings": _drawings(figures, kind),
            "gains": ledger_tables.gain_rows(figures, kind),
            "costs": ledger_tables.cost_rows(figures, costs, kind),
            "languages": ledger_tables.language_tables(figures, kind),
        }
        for kind in ledger_tables.kinds(figures)
    ]
    context = {
        "title": ledger_tables.title(figures),
        "sections": _SECTIONS,
        "figures": figures,
        "kinds": kinds,
        "legend": ledger_tables.LEGEND,
        "reminder": ledger_tables.REMINDER,
        "cost_note": ledger_tables.COST_NOTE,
        "warnings": ledger_tables.warnings(figures),
        "size": error_bars,
    }
    return html_page.render_template("ledger.html", {}, context)


def _drawings(figures: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [
        {
            "title": f"{title}, {scope}" if scope else title,
            "metric": rows[0]["metric"],
            "bars": error_bars.error_bars(rows, _differences(figures, rows)),
        }
        for scope, title, rows in ledger_tables.gain_groups(figures, kind)
    ]


def _differences(figures: Mapping[str, Any], gains: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the differences of the trainings of each component in the mean of a task and scope."""
    found: dict[str, list[float]] = {row["variant"]: [] for row in gains}
    table = [gains[0][name] for name in ("kind", "scope", "task")]
    for row in figures["trainings"]:
        if [row["kind"], row["scope"], row["task"]] == table and row["language"] is None and row["difference"] is not None:
            found[row["variant"]].append(row["difference"])
    return found
