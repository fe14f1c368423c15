"""The comparison page of several runs: settings that differ, scores with paired tests, training curves, data and costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlctl import languages as codes
from mlctl.reporting import benchmark_rows, benchmark_section, charts, curves, formatting, html_page, tables
from mlctl.reporting.records import StageRecord

Row = dict[str, Any]
TaskLanguage = tuple[str, str]

_SECTIONS = {
    "runs": "Runs",
    "settings": "Settings",
    "benchmark": "Benchmarks",
    "languages": "By language",
    "training": "Training",
    "data": "Data",
    "costs": "Costs",
    "versions": "Versions",
}
#: Names of the runs on a page, in order.
LETTERS = "ABCDEFGH"
#: Maximum number of runs on one page, one for each colour.
MAX_RUNS = len(LETTERS)


@dataclass(frozen=True)
class ComparedRun:
    """A run on the page, and its results."""

    #: Its recipe's name.
    name: str
    #: The run's id or the key of its report, as the user gave it.
    id: str
    #: Settings that change results, as JSON values.
    settings: Mapping[str, Any]
    #: Records of its stages, in order.
    stages: Sequence[StageRecord]
    #: stage → folder of its result.
    folders: Mapping[str, Path]


@dataclass(frozen=True)
class Paired:
    """Paired tests of a run's trained model against that of the first run."""

    #: Rows of `schema.DIFFERENCES`: `base` is the first run's trained model.
    differences: Sequence[Row]
    #: Rows of `schema.AVERAGES`.
    averages: Sequence[Row]
    #: Tasks and languages that both runs evaluated, but with other items, seeds or protocol.
    not_comparable: Sequence[TaskLanguage]


def render(runs: Sequence[ComparedRun], paired: Sequence[Paired]) -> str:
    """Return the page as HTML text.

    Args:
        runs: two to `MAX_RUNS`; the others are compared with the first.
        paired: one for each run but the first.
    """
    columns = _run_columns(runs)
    parts = _charted_parts(columns, paired)
    context: dict[str, Any] = {
        "title": f"{' · '.join(dict.fromkeys(run.name for run in runs))}: {len(runs)} runs",
        "sections": _SECTIONS,
        "runs": columns,
        "same_base": _have_same_base(columns),
        "settings": setting_rows([run.settings for run in runs]),
        "totals": _side_by_side(
            [{f"{row['stage']} · {row['label']}": row["rows"] for row in tables.total_rows(run.folders)} for run in runs]
        ),
        "stages": _cost_rows(runs),
        "seconds": [sum(record.seconds for record in run.stages) for run in runs],
        "versions": _side_by_side([_versions(run.stages) for run in runs], differing=True),
    }
    parts_context = {name: value for part in parts for name, value in part.items() if name != "charts"}
    return html_page.render_template("compare.html", _charts_of(parts), {**context, **parts_context})


def chart_specs(runs: Sequence[ComparedRun], paired: Sequence[Paired]) -> dict[str, charts.Spec]:
    """Return the charts of the page by name: `heat-<letter of a run>`, `against-<task>`, `curve-<name of curves.NAMES>`.

    The arguments are those of `render`.
    """
    return _charts_of(_charted_parts(_run_columns(runs), paired))


def _charted_parts(columns: Sequence[Row], paired: Sequence[Paired]) -> list[dict[str, Any]]:
    """Return the variables of the sections with charts, which are in `charts`."""
    titles = {task: title for run in reversed(columns) for task, title in benchmark_rows.task_titles(run["protocol"]).items()}
    against = [
        {
            **run,
            "not_comparable": sorted(pair.not_comparable),
            "tasks": benchmark_rows.group_by_task(benchmark_rows.sort_rows(pair.differences, titles)),
        }
        for run, pair in zip(columns[1:], paired, strict=True)
    ]
    return [_benchmarks(columns, against, paired, titles), _curves(columns)]


def _charts_of(parts: Sequence[Mapping[str, Any]]) -> dict[str, charts.Spec]:
    return {name: spec for part in parts for name, spec in part["charts"].items()}


def setting_rows(recipes: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Return the settings that differ: dotted path and the value in each recipe (None: not set)."""
    return _side_by_side([dict(_flatten(recipe)) for recipe in recipes], differing=True)


def _flatten(values: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _side_by_side(columns: Sequence[Mapping[str, Any]], differing: bool = False) -> list[tuple[str, list[Any]]]:
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [(name, [column.get(name) for column in columns]) for name in names]
    return [(name, row) for name, row in rows if not differing or any(value != row[0] for value in row)]


def _run_columns(runs: Sequence[ComparedRun]) -> list[Row]:
    return [_run_column(letter, run, colour) for letter, run, colour in zip(LETTERS, runs, charts.RUN_COLOURS, strict=False)]


def _run_column(letter: str, run: ComparedRun, colour: str) -> Row:
    evaluated = run.folders["evaluate"]
    return {
        "letter": letter,
        "colour": colour,
        "name": run.name,
        "id": run.id,
        "folders": run.folders,
        "created": max(record.created for record in run.stages),
        "final": curves.final_losses(run.folders["train"]),
        "protocol": tables.protocol(evaluated),
        "benchmark": tables.benchmark_rows(evaluated),
        "means": {row["task"]: row for row in tables.mean_rows(evaluated)},
    }


def _have_same_base(columns: Sequence[Row]) -> bool:
    """Return whether all runs have the same base model, evaluated with the same pooling, prompt and maximum length."""
    names = ("weights", "tokenizer", "sentences", "pooling", "prefix", "max_length")
    bases = [{name: run["protocol"]["models"]["base"].get(name) for name in names} for run in columns]
    return all(base == bases[0] for base in bases)


def _benchmarks(
    columns: Sequence[Row], against: Sequence[Row], paired: Sequence[Paired], titles: Mapping[str, str]
) -> dict[str, Any]:
    averages = [{row["task"]: row for row in pair.averages} for pair in paired]
    headline = [
        {
            "title": titles[task],
            "metric": next(run["means"][task]["metric"] for run in columns if task in run["means"]),
            "means": [run["means"].get(task) for run in columns],
            "against": [None, *(rows.get(task) for rows in averages)],
        }
        for task in titles
        if any(task in run["means"] for run in columns)
    ]
    heatmaps = {
        f"heat-{run['letter']}": benchmark_section.difference_heatmap([row for _, rows in run["tasks"] for row in rows])
        for run in against
        if run["tasks"]
    }
    compared_tasks = dict.fromkeys(task for run in against for task, _ in run["tasks"])
    languages = [(task, _language_rows(columns, against, task)) for task in compared_tasks]
    intervals = {f"against-{task}": _interval_chart(against, task) for task in compared_tasks}
    return {
        "headline": headline,
        "against": against,
        "languages": languages,
        "titles": titles,
        "charts": {**heatmaps, **intervals},
    }


def _language_rows(columns: Sequence[Row], against: Sequence[Row], task: str) -> list[Row]:
    """Return for each language of a task the trained score of every run and the tests against the first."""
    scores = [{row["language"]: row for row in run["benchmark"] if row["task"] == task} for run in columns]
    tests = [{row["language"]: row for row in dict(run["tasks"]).get(task, ())} for run in against]
    languages = sorted({language for rows in tests for language in rows}, key=codes.name)
    return [
        {
            "language": language,
            "scores": [rows.get(language) for rows in scores],
            "against": [None, *(rows.get(language) for rows in tests)],
        }
        for language in languages
    ]


def _interval_chart(against: Sequence[Row], task: str) -> charts.Spec:
    rows = [{**row, "run": run["letter"]} for run in against for row in dict(run["tasks"]).get(task, ())]
    return charts.interval_chart(rows, {run["letter"]: run["colour"] for run in against})


def _curves(columns: Sequence[Row]) -> dict[str, Any]:
    colours = {run["letter"]: run["colour"] for run in columns}
    rows_by_curve: dict[str, list[Row]] = {}
    for run in columns:
        for name, rows in curves.all_curves(run["folders"]["train"]).items():
            rows_by_curve.setdefault(name, []).extend({**row, "run": run["letter"]} for row in rows)
    chart_specs = {
        f"curve-{name}": charts.curves_chart(rows, curves.NAMES[name][0], colours, name in curves.FROM_ZERO)
        for name, rows in rows_by_curve.items()
    }
    return {"curves": [(name, *curves.NAMES[name]) for name in curves.NAMES if name in rows_by_curve], "charts": chart_specs}


def _cost_rows(runs: Sequence[ComparedRun]) -> list[Row]:
    """Return for each stage the record of every run, with the letter of the first run that has the same result."""
    by_stage = [{record.stage: record for record in run.stages} for run in runs]
    rows = []
    for stage in dict.fromkeys(record.stage for run in runs for record in run.stages):
        records = [stages.get(stage) for stages in by_stage]
        keys = [record.key if record else "" for record in records]
        owners = [LETTERS[keys.index(key)] for key in keys]
        rows.append({"stage": stage, "runs": list(zip(records, owners, strict=True))})
    return rows


def _versions(stages: Sequence[StageRecord]) -> dict[str, str]:
    return dict(formatting.merge_versions(record.versions for record in stages))
