"""Several runs side by side on one page: what was set otherwise, what came of it, how sure that is, what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlctl import languages as codes
from mlctl.reporting import benchmark_section, charts, curves, formatting, html_page, tables
from mlctl.reporting.records import StageRecord

Row = dict[str, Any]
#: A task and a language.
Place = tuple[str, str]

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
_LETTERS = "ABCDEFGH"
#: Runs that one page has room and colours for.
MOST = len(_LETTERS)


@dataclass(frozen=True)
class ComparedRun:
    """A run on the page: how it is known, and its results."""

    #: Its recipe's name.
    name: str
    #: By what it was asked for: a run's id or the key of its report.
    id: str
    #: Settings that change results, as JSON values.
    settings: Mapping[str, Any]
    #: How each stage came to its result, in order.
    stages: Sequence[StageRecord]
    #: stage → folder of its result.
    folders: Mapping[str, Path]


@dataclass(frozen=True)
class Paired:
    """A run's trained model against that of the first run, by answers to the same items."""

    #: Rows of `schema.DIFFERENCES`: `base` is the first run's trained model.
    differences: Sequence[Row]
    #: Rows of `schema.AVERAGES`.
    averages: Sequence[Row]
    #: Tasks and languages that both judged, but not by the same items, seeds and protocol.
    apart: Sequence[Place]


def render(runs: Sequence[ComparedRun], paired: Sequence[Paired]) -> str:
    """Return the page as HTML text.

    Args:
        runs: two to `MOST`; the first is what the others are compared with.
        paired: one for each run but the first.
    """
    shown = [_shown(letter, run, colour) for letter, run, colour in zip(_LETTERS, runs, charts.RUN_COLOURS, strict=False)]
    named = {task: title for run in reversed(shown) for task, title in benchmark_section.titles(run["protocol"]).items()}
    against = [
        {**run, "apart": sorted(pair.apart), "tasks": _by_task(benchmark_section.in_order(pair.differences, named))}
        for run, pair in zip(shown[1:], paired, strict=True)
    ]
    parts = [_judged(shown, against, paired, named), _curves(shown)]
    drawn = {name: spec for part in parts for name, spec in part.pop("charts").items()}
    context: dict[str, Any] = {
        "title": f"{' · '.join(dict.fromkeys(run.name for run in runs))}: {len(runs)} runs",
        "sections": _SECTIONS,
        "runs": shown,
        "same_base": _same_base(shown),
        "settings": setting_rows([run.settings for run in runs]),
        "totals": _side_by_side(
            [{f"{r['stage']} · {r['what']}": r["rows"] for r in tables.total_rows(run.folders)} for run in runs]
        ),
        "stages": _costs(runs),
        "seconds": [sum(record.seconds for record in run.stages) for run in runs],
        "versions": _side_by_side([_versions(run.stages) for run in runs], differing=True),
    }
    return html_page.fill("compare.html", drawn, {**context, **{name: value for part in parts for name, value in part.items()}})


def setting_rows(recipes: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Return what recipes set otherwise: dotted path and the value in each (None: no such setting)."""
    return _side_by_side([dict(_leaves(recipe)) for recipe in recipes], differing=True)


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _side_by_side(columns: Sequence[Mapping[str, Any]], differing: bool = False) -> list[tuple[str, list[Any]]]:
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [(name, [column.get(name) for column in columns]) for name in names]
    return [(name, row) for name, row in rows if not differing or any(value != row[0] for value in row)]


def _shown(letter: str, run: ComparedRun, colour: str) -> Row:
    evaluated = run.folders["evaluate"]
    return {
        "letter": letter,
        "colour": colour,
        "name": run.name,
        "id": run.id,
        "folders": run.folders,
        "made": max(record.created for record in run.stages),
        "final": curves.final_losses(run.folders["train"]),
        "protocol": tables.protocol(evaluated),
        "benchmark": tables.benchmark_rows(evaluated),
        "means": {row["task"]: row for row in tables.mean_rows(evaluated)},
    }


def _same_base(shown: Sequence[Row]) -> bool:
    """Tell whether all runs started from one encoder, and so judged it alike."""
    bases = [{name: run["protocol"]["models"]["base"].get(name) for name in ("weights", "tokenizer", "pooling")} for run in shown]
    return all(base == bases[0] for base in bases)


def _judged(shown: Sequence[Row], against: Sequence[Row], paired: Sequence[Paired], named: Mapping[str, str]) -> dict[str, Any]:
    tasks = [task for task in named if any(task in run["means"] for run in shown)]
    sure = [{row["task"]: row for row in pair.averages} for pair in paired]
    headline = [
        {
            "title": named[task],
            "metric": next(run["means"][task]["metric"] for run in shown if task in run["means"]),
            "means": [run["means"].get(task) for run in shown],
            "against": [None, *(rows.get(task) for rows in sure)],
        }
        for task in tasks
    ]
    heats = {
        f"heat-{run['letter']}": benchmark_section.heat([row for _, rows in run["tasks"] for row in rows])
        for run in against
        if run["tasks"]
    }
    languages = [
        (task, _by_language(shown, against, task)) for task in dict.fromkeys(t for run in against for t, _ in run["tasks"])
    ]
    drawn = {f"against-{task}": _interval_chart(against, task) for task, _ in languages}
    return {"headline": headline, "against": against, "languages": languages, "named": named, "charts": {**heats, **drawn}}


def _by_task(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    return [(task, [row for row in rows if row["task"] == task]) for task in dict.fromkeys(row["task"] for row in rows)]


def _by_language(shown: Sequence[Row], against: Sequence[Row], task: str) -> list[Row]:
    """Return for each language of a task the trained figure of every run and the tests against the first."""
    figures = [{row["language"]: row for row in run["benchmark"] if row["task"] == task} for run in shown]
    tested = [{row["language"]: row for row in dict(run["tasks"]).get(task, ())} for run in against]
    spoken = sorted({language for rows in tested for language in rows}, key=codes.name)
    return [
        {
            "language": language,
            "figures": [rows.get(language) for rows in figures],
            "against": [None, *(rows.get(language) for rows in tested)],
        }
        for language in spoken
    ]


def _interval_chart(against: Sequence[Row], task: str) -> charts.Spec:
    rows = [{**row, "run": run["letter"]} for run in against for row in dict(run["tasks"]).get(task, ())]
    return charts.interval_chart(rows, {run["letter"]: run["colour"] for run in against})


def _curves(shown: Sequence[Row]) -> dict[str, Any]:
    colours = {run["letter"]: run["colour"] for run in shown}
    found: dict[str, list[Row]] = {}
    for run in shown:
        train = run["folders"]["train"]
        for name, rows in {**curves.loss_curves(train), "speed": curves.speed_curve(train)}.items():
            found.setdefault(name, []).extend({**row, "run": run["letter"]} for row in rows)
    kept = {name: rows for name, rows in found.items() if rows}
    drawn = {
        f"curve-{name}": charts.curves_chart(rows, curves.NAMES[name][0], colours, name == "speed") for name, rows in kept.items()
    }
    return {"curves": [(name, *curves.NAMES[name]) for name in curves.NAMES if name in kept], "charts": drawn}


def _costs(runs: Sequence[ComparedRun]) -> list[Row]:
    """Return for each stage what it cost every run; `shared` with an earlier run: the same result, made once."""
    by_stage = [{record.stage: record for record in run.stages} for run in runs]
    rows = []
    for stage in dict.fromkeys(record.stage for run in runs for record in run.stages):
        records = [stages.get(stage) for stages in by_stage]
        keys = [record.key if record else "" for record in records]
        first = [_LETTERS[keys.index(key)] for key in keys]
        rows.append({"stage": stage, "runs": [(r, letter) for r, letter in zip(records, first, strict=True)]})
    return rows


def _versions(stages: Sequence[StageRecord]) -> dict[str, str]:
    return dict(formatting.versions(record.versions for record in stages))
