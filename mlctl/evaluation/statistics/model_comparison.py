"""From the outcomes of both models to tables: scores, items, differences, averages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlctl.evaluation.metrics.item_scores import Outcome
from mlctl.evaluation.statistics.paired_tests import ALPHA, Answers, Comparison, compare, deviation, holm, mean

Row = dict[str, Any]

_ENGLISH = "en"  # what fine-tuning learns from; every other language is judged without having been learned


@dataclass(frozen=True)
class Judged:
    """Outcomes of one model in one task, language and seed; `metric` is the task's headline figure."""

    model: str
    task: str
    language: str
    seed: int | None
    metric: str
    outcomes: Sequence[Outcome]


def score_rows(judged: Iterable[Judged]) -> list[Row]:
    """Return rows of `schema.SCORES`, sorted."""
    rows = [
        {**_place(one, outcome), "metric": metric, "value": value, "items": len(outcome.items)}
        for one in judged
        for outcome in one.outcomes
        for metric, value in outcome.figures.items()
    ]
    names = ("task", "language", "direction", "metric", "model")
    return sorted(rows, key=lambda row: (*(row[name] for name in names), -1 if row["seed"] is None else row["seed"]))


def item_columns(one: Judged, outcome: Outcome) -> dict[str, Any]:
    """Return the columns of `schema.ITEMS` for one outcome."""
    fixed = {name: [value] * len(outcome.items) for name, value in _place(one, outcome).items()}
    return {**fixed, "item": outcome.items, "part": outcome.part, "whole": outcome.whole}


def difference_rows(judged: Sequence[Judged], resamples: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Return rows of `schema.DIFFERENCES` and of `schema.AVERAGES`: every task and language that both models were judged in."""
    differences, averages = [], []
    for task in sorted({one.task for one in judged}):
        compared = {language: _compare(several, resamples, seed) for language, several in _languages(judged, task).items()}
        metric = next(one.metric for one in judged if one.task == task)
        differences += _differences(task, metric, compared)
        others = [comparison for language, (comparison, _) in compared.items() if language != _ENGLISH]
        averages += [_average(task, metric, others)] if others else []
    return differences, averages


def by_task(judged: Sequence[Judged], resamples: int, seed: int) -> dict[str, list[Comparison]]:
    """Return the comparisons that make the mean of each task: of every language but English, or of English where it is alone."""
    found = {}
    for task in sorted({one.task for one in judged}):
        several = {language: _compare(ones, resamples, seed)[0] for language, ones in _languages(judged, task).items()}
        found[task] = [one for language, one in several.items() if language != _ENGLISH] or list(several.values())
    return found


def _place(one: Judged, outcome: Outcome) -> Row:
    return {
        "model": one.model,
        "task": one.task,
        "language": one.language,
        "direction": outcome.direction,
        "seed": one.seed,
    }


def _languages(judged: Sequence[Judged], task: str) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = {}
    for one in judged:
        if one.task == task:
            found.setdefault(one.language, []).append(one)
    return dict(sorted(found.items()))


def _compare(judged: Sequence[Judged], resamples: int, seed: int) -> tuple[Comparison, int]:
    """Compare two models in one task and language; return how many items they were asked, too."""
    names = sorted({item for one in judged for outcome in one.outcomes for item in outcome.items})
    places = {name: place for place, name in enumerate(names)}
    base, trained = (_answers([one for one in judged if (one.model == "trained") == which], places) for which in (False, True))
    return compare(base, trained, resamples, seed), len(names)


def _answers(judged: Sequence[Judged], places: Mapping[str, int]) -> Answers:
    """Return (S, N) of one model in the order of its seeds. An item's directions are added up: they do not count twice."""
    part, whole = (np.zeros((len(judged), len(places))) for _ in range(2))
    for row, one in enumerate(sorted(judged, key=lambda one: one.seed or 0)):
        for outcome in one.outcomes:
            columns = [places[item] for item in outcome.items]
            np.add.at(part[row], columns, outcome.part)
            np.add.at(whole[row], columns, outcome.whole)
    return Answers(part, whole)


def _differences(task: str, metric: str, compared: Mapping[str, tuple[Comparison, int]]) -> list[Row]:
    corrected = holm([comparison.p() for comparison, _ in compared.values()])
    return [
        {
            "task": task,
            "language": language,
            "metric": metric,
            "zero_shot": language != _ENGLISH,
            "items": items,
            **_figures(comparison),
            "corrected": p,
            "significant": _significant(comparison, p),
        }
        for (language, (comparison, items)), p in zip(compared.items(), corrected, strict=True)
    ]


def _average(task: str, metric: str, comparisons: Sequence[Comparison]) -> Row:
    whole = mean(comparisons)
    significant = _significant(whole, whole.p())
    return {"task": task, "metric": metric, "languages": len(comparisons), **_figures(whole), "significant": significant}


def _figures(comparison: Comparison) -> Row:
    low, high = comparison.interval()
    return {
        "seeds": len(comparison.base),
        "base": float(comparison.base.mean()),
        "trained": float(comparison.trained.mean()),
        "base_deviation": deviation(comparison.base),
        "trained_deviation": deviation(comparison.trained),
        "difference": comparison.difference,
        "low": low,
        "high": high,
        "p": comparison.p(),
    }


def _significant(comparison: Comparison, p: float) -> bool:
    low, high = comparison.interval()
    return p < ALPHA and not low <= 0 <= high
