"""The tables of a ledger as text: formatted cells, Markdown, CSV. All are pure functions of the content of ledger.json and costs.json."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from mlctl.reporting import formatting, markdown, sweep_tables

Row = dict[str, Any]

KIND_TITLES = {"source": "Sources", "language": "Languages", "filter": "Filters"}

#: What the columns mean.
LEGEND = (
    "Worth is the score of the full recipe minus that of the recipe without the component, in points, mean over languages without English "
    "and over trainings of equal seeds; ± is the standard deviation over trainings. Both are scored on the same items: held-out pairs of the "
    "full recipe, the component's own among them, that neither has learned, and the recipe's benchmarks. A component helps or harms if that "
    "is beyond chance for other items and for other trainings: p is the larger one of an approximate randomisation over items and a paired "
    "t-test over trainings, corrected over the components of a table's task (Holm), and the 95% interval covers both."
)
#: What a ledger cannot see.
REMINDER = (
    "Leave-one-out undervalues components that replace each other: of two sources with the same text, each is worth nothing while the other "
    "is there. Leave out one at a time, and run the ledger of the smaller recipe again."
)
#: What the times are.
COST_NOTE = (
    "Times are the recorded seconds of clean, align, shard and train for the full recipe minus those without the component, mean over "
    "trainings: wall time of these stages, on GPUs times their number. They include the noise of the machine, and can be below 0; a stage "
    "with the same result in both costs nothing. Download and translation are not counted: the recipe without a component reuses their caches."
)

_VERDICTS = {
    "helps": "helps",
    "harms": "harms",
    "no difference": "no difference beyond chance",
    "not tested": "not tested: one training",
}
_SCOPES = {"all": "", "others": "other languages", "itself": "the language itself"}
_CSV_COLUMNS = (
    "scope",
    "task",
    "metric",
    "languages",
    "compared_trainings",
    *sweep_tables.COMPARISON_COLUMNS,
    "verdict",
    "better",
    "worse",
)
_CSV_NAMES = {
    "baseline": "without",
    "baseline_deviation": "without_deviation",
    "score": "full",
    "score_deviation": "full_deviation",
}
_ROWS = ("downloaded", "kept", "trained", "dropped")
_SECONDS = ("cpu_seconds", "gpu_seconds")
_NONE = "–"


def title(figures: Mapping[str, Any]) -> str:
    """Return the title of a ledger's page and tables."""
    count = len(figures["components"])
    return f"Ledger of {figures['recipe']}: {count} component{'' if count == 1 else 's'}"


def kinds(figures: Mapping[str, Any]) -> list[str]:
    """Return the kinds of its components, in order."""
    return [kind for kind in KIND_TITLES if any(component["kind"] == kind for component in figures["components"])]


def gain_groups(figures: Mapping[str, Any], kind: str) -> list[tuple[str, str, list[Row]]]:
    """Return scope in words, title of the task and rows of each table of gains of a kind, in order."""
    gains = [row for row in figures["gains"] if row["kind"] == kind]
    groups = dict.fromkeys((row["scope"], row["task"]) for row in gains)
    return [
        (_SCOPES[scope], _task_title(figures, task), [row for row in gains if (row["scope"], row["task"]) == (scope, task)])
        for scope, task in groups
    ]


def format_gain(figures: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, str]:
    """Format a row of gains: `component`, `task`, `without`, `with`, `worth`, `95% interval`, `p`, `verdict`."""
    cells = sweep_tables.format_row(row)
    scope = _SCOPES[row["scope"]]
    return {
        "component": cells["variant"],
        "task": _task_title(figures, row["task"]) + (f", {scope}" if scope else ""),
        "without": cells["baseline"],
        "with": cells["score"],
        "worth": cells["difference"],
        "95% interval": cells["95% interval"],
        "p": cells["p"],
        "verdict": _VERDICTS[row["verdict"]],
    }


def gain_rows(figures: Mapping[str, Any], kind: str) -> list[dict[str, str]]:
    """Return the formatted rows of all gains of a kind, a component's together; those of components that are not compared say why."""
    found = []
    for component in (component for component in figures["components"] if component["kind"] == kind):
        rows = [row for row in figures["gains"] if (row["kind"], row["variant"]) == (kind, component["name"])]
        found += [format_gain(figures, row) for row in rows] or [_not_compared(component)]
    return found


def language_tables(figures: Mapping[str, Any], kind: str) -> list[tuple[str, str, list[dict[str, str]]]]:
    """Return title of the task, language and rows of each task and language of a kind, in order."""
    rows = [row for row in figures["languages"] if row["kind"] == kind]
    groups = dict.fromkeys((row["task"], row["language"]) for row in rows)
    return [
        (
            _task_title(figures, task),
            language,
            [_language_cells(row) for row in rows if (row["task"], row["language"]) == (task, language)],
        )
        for task, language in groups
    ]


def cost_rows(figures: Mapping[str, Any], costs: Mapping[str, Any], kind: str) -> list[dict[str, str]]:
    """Return rows, times and licences of the components of a kind."""
    on_gpu = any(cost["gpu_seconds"] is not None for by_name in costs.values() for cost in by_name.values())
    of_kind = [component for component in figures["components"] if component["kind"] == kind]
    return [_cost_cells(component, _cost(costs, component), on_gpu) for component in of_kind]


def warnings(figures: Mapping[str, Any]) -> list[str]:
    """Return lines on components whose trainings failed, and on what else goes with one."""
    lines = [
        f"{component['name']}: {'seed' if len(component['failed']) == 1 else 'seeds'} {', '.join(map(str, component['failed']))} failed"
        for component in figures["components"]
        if component["failed"]
    ]
    if len(figures["seeds"]) == 1:
        lines.append("One training of each recipe: nothing is said about other seeds, and so no verdict is given.")
    return lines


def to_markdown(figures: Mapping[str, Any], costs: Mapping[str, Any]) -> str:
    """Return what the components are worth and cost as Markdown."""
    parts = [f"# {title(figures)}", LEGEND, REMINDER, *(f"- {line}" for line in warnings(figures))]
    for kind in kinds(figures):
        parts += [
            f"## {KIND_TITLES[kind]}",
            markdown.table(gain_rows(figures, kind)),
            markdown.table(cost_rows(figures, costs, kind)),
        ]
    return "\n\n".join([*parts, COST_NOTE]) + "\n"


def to_csv(figures: Mapping[str, Any], costs: Mapping[str, Any]) -> str:
    """Return a row for each component and task as CSV; one row without a task for a component that is not compared."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [_CSV_NAMES.get(name, name) for name in _CSV_COLUMNS]
    writer.writerow(["kind", "component", "state", *names, *_ROWS, *_SECONDS, "licences"])
    for component in figures["components"]:
        own: list[Row] = [
            row for row in figures["gains"] if (row["kind"], row["variant"]) == (component["kind"], component["name"])
        ]
        cost = _cost(costs, component)
        for row in own or [{}]:
            values = [component["kind"], component["name"], component["state"], *(row.get(name) for name in _CSV_COLUMNS)]
            values += [component["rows"].get(name) for name in _ROWS] + [cost.get(name) for name in _SECONDS]
            writer.writerow([*values, " AND ".join(component["licences"])])
    return text.getvalue()


def _task_title(figures: Mapping[str, Any], task: str) -> str:
    return str(figures["titles"].get(task, formatting.format_task_name(task)))


def _not_compared(component: Mapping[str, Any]) -> dict[str, str]:
    worth = "0" if component["state"] == "unchanged" else _NONE
    verdict = (
        f"{'worth nothing' if component['state'] == 'unchanged' else 'not compared'}: {component['reason'] or 'its runs failed'}"
    )
    empty = dict.fromkeys(("task", "without", "with"), "")
    return {"component": str(component["name"]), **empty, "worth": worth, "95% interval": "", "p": "", "verdict": verdict}


def _language_cells(row: Mapping[str, Any]) -> dict[str, str]:
    cells = sweep_tables.format_row(row)
    names = {
        "variant": "component",
        "baseline": "without",
        "score": "with",
        "difference": "worth",
        "better, worse": "better, worse",
    }
    return {new: cells[old] for old, new in names.items()}


def _cost_cells(component: Mapping[str, Any], cost: Mapping[str, Any], on_gpu: bool) -> dict[str, str]:
    cells = {"component": str(component["name"]), **_row_cells(component)}
    cells["CPU time"] = _signed_duration(cost.get("cpu_seconds"))
    if on_gpu:
        cells["GPU time"] = _signed_duration(cost.get("gpu_seconds"))
    if component["kind"] != "filter":
        cells["licence"] = ", ".join(component["licences"]) or _NONE
    without = ", ".join(f"{name}={formatting.format_setting(value)}" for name, value in component["settings"].items())
    return {**cells, "note": component["note"] or (f"without: {without}" if without else "")}


def _row_cells(component: Mapping[str, Any]) -> dict[str, str]:
    rows = component["rows"]
    if component["kind"] == "filter":
        return {"dropped rows": formatting.format_number(rows["dropped"])}
    counts = {"rows": "downloaded", "after clean": "kept", "trained on": "trained"}
    cells = {shown: _NONE if rows[name] is None else formatting.format_number(rows[name]) for shown, name in counts.items()}
    known = rows["trained"] is not None and rows["downloaded"]
    return {**cells, "not trained on": formatting.format_percent(1 - rows["trained"] / rows["downloaded"]) if known else _NONE}


def _cost(costs: Mapping[str, Any], component: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a component costs; of one that is not compared nothing is known, and one that changes nothing costs nothing."""
    nothing = dict.fromkeys(_SECONDS, 0.0) if component["state"] == "unchanged" else {}
    found: Mapping[str, Any] = costs.get(component["kind"], {}).get(component["name"], nothing)
    return found


def _signed_duration(seconds: float | None) -> str:
    if seconds is None:
        return _NONE
    return f"{'−' if seconds < 0 else '+' if seconds > 0 else ''}{formatting.format_duration(abs(seconds))}"
