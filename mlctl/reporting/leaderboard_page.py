"""The page of a leaderboard: its data in a compact form, which scripts show as tables."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlctl import languages as codes
from mlctl.reporting import formatting, html_page
from mlctl.reporting.benchmark_rows import HELD_OUT
from mlctl.reporting.leaderboard_data import BoardColumn, BoardModel, BoardTests, Leaderboard
from mlctl.reporting.published_scores import PUBLISHED, WITH_ENGLISH

#: Scores and limits of intervals are whole numbers of these parts of 1.
SCORE_UNIT = 1e-5
LIMIT_UNIT = 1 / 30_000

_SECTIONS = {
    "scores": "Scores",
    "compare": "Compare two models",
    "languages": "Languages",
    "models": "Models",
    "tasks": "Tasks and sources",
}
_SCRIPTS = ("leaderboard_scores.js", "leaderboard_view.js", "leaderboard.js")
_SHOWN_COLUMNS = 8  # at first


def render(board: Leaderboard) -> str:
    """Return the page as HTML text."""
    names = _column_names(board.columns)
    return html_page.render_template(
        "leaderboard.html",
        {},
        {
            "title": "Leaderboard",
            "sections": {**_SECTIONS, **({"left-out": "Left out"} if board.left_out else {})},
            "board": board,
            "names": {model.id: label for model, label in zip(board.models, _labels(board.models), strict=True)},
            "columns": list(zip(names, board.columns, strict=True)),
            "languages": _languages(board.columns),
            "published": _shown_published(board.columns),
            "newest": max(model.created for model in board.models),
            "untested": not any(column.language_tests for column in board.columns),
            "script": html_page.read_script(*_SCRIPTS),
            "data": page_data(board, names),
        },
    )


def page_data(board: Leaderboard, names: Sequence[str]) -> dict[str, Any]:
    """Return the page's data: `models`, `published`, `columns` and the names of the `languages`.

    Models are referred to by their number. A score is a list with one whole number for each seed, in `SCORE_UNIT`.
    """
    numbers = {model.id: number for number, model in enumerate(board.models)}
    columns = [_column(name, column, numbers, board.resamples) for name, column in zip(names, board.columns, strict=True)]
    for column in sorted(columns, key=lambda column: (column["id"] != column["task"], -len(column["models"])))[:_SHOWN_COLUMNS]:
        column["shown"] = True
    return {
        "models": [_model(model, label) for model, label in zip(board.models, _labels(board.models), strict=True)],
        "published": [{"name": row.name, "scores": dict(row.scores)} for row in _shown_published(board.columns)],
        "withEnglish": sorted(WITH_ENGLISH),
        "columns": columns,
        "languages": {tag: codes.name(tag) for tag in _languages(board.columns)},
        "units": {"score": SCORE_UNIT, "limit": LIMIT_UNIT, "p": 1 / (board.resamples + 1)},
    }


def _model(model: BoardModel, label: str) -> dict[str, Any]:
    tag = " · ".join([*model.runs[:1], *model.changes])
    return {"id": model.id, "name": model.name, "label": label, "kind": model.kind, "tag": tag, "family": model.family}


def _labels(models: Sequence[BoardModel]) -> list[str]:
    """Return a name for each model that no other has: with its run, its vectors or its id where it is needed."""
    labels = [model.name for model in models]
    details = (
        [next(iter(model.runs), "") for model in models],
        [model.vectors for model in models],
        [model.id for model in models],
    )
    for column in details:
        repeated = {label for label in labels if labels.count(label) > 1}
        labels = [
            f"{label} ({more})" if label in repeated and more else label for label, more in zip(labels, column, strict=True)
        ]
    return labels


def _column(name: str, column: BoardColumn, numbers: Mapping[str, int], resamples: int) -> dict[str, Any]:
    models = sorted({model for of_language in column.scores.values() for model in of_language}, key=lambda model: numbers[model])
    return {
        "id": name,
        "task": column.task,
        "title": column.title,
        "note": column.note,
        "metric": formatting.format_metric(column.metric),
        "heldOut": column.task in HELD_OUT,
        "shown": False,
        "models": [numbers[model] for model in models],
        "scores": {
            language: [_seeds(of_language[model].seeds) if model in of_language else None for model in models]
            for language, of_language in sorted(column.scores.items())
        },
        "items": {
            language: max(score.items for score in of_language.values())
            for language, of_language in sorted(column.scores.items())
        },
        "tests": _tests(column.mean_tests, numbers, resamples),
        "languageTests": {
            language: _tests(tests, numbers, resamples) for language, tests in sorted(column.language_tests.items())
        },
    }


def _seeds(scores: Sequence[float]) -> list[int]:
    return [round(score / SCORE_UNIT) for score in scores]


def _tests(tests: BoardTests, numbers: Mapping[str, int], resamples: int) -> dict[str, Any]:
    """Return tests with base64 of little-endian 16-bit numbers, three a pair: low, high (`LIMIT_UNIT`), p × (resamples + 1); p 0: no test."""
    low, high, p = (np.array(column, np.float64) for column in (tests.low, tests.high, tests.p))
    packed = np.stack([_limits(low), _limits(high), np.nan_to_num(np.round(p * (resamples + 1)))], 1)
    return {
        "models": [numbers[model] for model in tests.models],
        "pairs": base64.b64encode(packed.astype("<i2").tobytes()).decode("ascii"),
    }


def _limits(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return limits in `LIMIT_UNIT`, rounded away from 0: an interval that excludes 0 does so on the page."""
    known = np.nan_to_num(values) / LIMIT_UNIT
    return np.asarray(np.sign(known) * np.ceil(np.abs(known)))


def _column_names(columns: Sequence[BoardColumn]) -> list[str]:
    """Return a name for each column that addresses of the page contain: the task, with a number where it has several."""
    names: list[str] = []
    for column in columns:
        number = 1 + sum(other.task == column.task for other in columns[: len(names)])
        names.append(column.task if number == 1 else f"{column.task}.{number}")
    return names


def _languages(columns: Sequence[BoardColumn]) -> list[str]:
    return sorted({language for column in columns for language in column.scores}, key=codes.name)


def _shown_published(columns: Sequence[BoardColumn]) -> list[Any]:
    tasks = {column.task for column in columns}
    return [row for row in PUBLISHED if tasks & row.scores.keys()]
