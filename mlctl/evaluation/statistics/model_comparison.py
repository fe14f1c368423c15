"""Tables of the models' scores: scores, items, differences, averages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlctl.evaluation.metrics.item_scores import ItemScores
from mlctl.evaluation.statistics.paired_tests import (
    ALPHA,
    ItemMatrix,
    PairedComparison,
    compare,
    holm,
    mean,
    standard_deviation,
)

Row = dict[str, Any]

#: Names of the models: the base model (as published, where it has its own pooling), the base model with the trained model's pooling
#: (only where that is another one), the trained model.
BASE, SAME_POOLING, TRAINED = "base", "base-same-pooling", "trained"

_ENGLISH = "en"  # language of the fine-tuning; every other language is evaluated zero-shot


@dataclass(frozen=True)
class ModelScores:
    """Scores of one model on one task, language and seed; `metric` is the task's main metric, `scores` has one entry a direction."""

    model: str
    task: str
    language: str
    seed: int | None
    metric: str
    scores: Sequence[ItemScores]


def score_rows(results: Iterable[ModelScores]) -> list[Row]:
    """Return rows of `schema.SCORES`, sorted."""
    rows = [
        {**_columns(result, scores), "metric": metric, "value": value, "items": len(scores.items)}
        for result in results
        for scores in result.scores
        for metric, value in scores.metrics.items()
    ]
    names = ("task", "language", "direction", "metric", "model")
    return sorted(rows, key=lambda row: (*(row[name] for name in names), -1 if row["seed"] is None else row["seed"]))


def item_columns(result: ModelScores, scores: ItemScores) -> dict[str, Any]:
    """Return the columns of `schema.ITEMS` for the scores of one direction."""
    constant = {name: [value] * len(scores.items) for name, value in _columns(result, scores).items()}
    return {**constant, "item": scores.items, "part": scores.part, "whole": scores.whole}


def difference_rows(results: Sequence[ModelScores], resamples: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Return rows of `schema.DIFFERENCES` and of `schema.AVERAGES`, of every task and language that base and trained model have scores of."""
    differences, averages = [], []
    for task in sorted({result.task for result in results}):
        by_language = _by_language(results, task)
        compared = {language: _compare(in_language, resamples, seed) for language, in_language in by_language.items()}
        same_pooling = {language: _same_pooling(in_language) for language, in_language in by_language.items()}
        metric = next(result.metric for result in results if result.task == task)
        differences += _difference_rows(task, metric, compared, same_pooling)
        zero_shot = [language for language in compared if language != _ENGLISH]
        if zero_shot:
            averages.append(
                _average_row(task, metric, [compared[name][0] for name in zero_shot], [same_pooling[name] for name in zero_shot])
            )
    return differences, averages


def comparisons_by_task(
    results: Sequence[ModelScores], resamples: int, seed: int, trainings: int | None = None
) -> dict[str, list[PairedComparison]]:
    """Return the comparisons that each task's mean is taken over: every language but English, or English if there is no other.

    Args:
        results: scores of the models `base` and `trained`.
        resamples: of each test.
        seed: of the resampling.
        trainings: number of trainings of each model, if there are several: their seeds are numbered on through all trainings.
    """
    found = {}
    for task in sorted({result.task for result in results}):
        compared = {
            language: _compare(in_language, resamples, seed, trainings)[0]
            for language, in_language in _by_language(results, task).items()
        }
        zero_shot = [comparison for language, comparison in compared.items() if language != _ENGLISH]
        found[task] = zero_shot or list(compared.values())
    return found


def _columns(result: ModelScores, scores: ItemScores) -> Row:
    return {
        "model": result.model,
        "task": result.task,
        "language": result.language,
        "direction": scores.direction,
        "seed": result.seed,
    }


def _by_language(results: Sequence[ModelScores], task: str) -> dict[str, list[ModelScores]]:
    groups: dict[str, list[ModelScores]] = {}
    for result in results:
        if result.task == task:
            groups.setdefault(result.language, []).append(result)
    return dict(sorted(groups.items()))


def _compare(
    results: Sequence[ModelScores], resamples: int, seed: int, trainings: int | None = None
) -> tuple[PairedComparison, int]:
    """Compare two models on one task and language; return the number of items, too."""
    names = sorted({item for result in results for scores in result.scores for item in scores.items})
    index = {name: column for column, name in enumerate(names)}
    base, trained = (_item_matrix([result for result in results if result.model == model], index) for model in (BASE, TRAINED))
    return compare(base, trained, resamples, seed, trainings), len(names)


def _same_pooling(results: Sequence[ModelScores]) -> float | None:
    """Return the score of the base model with the trained model's pooling on one task and language, mean over seeds; None: not evaluated."""
    chosen = [result for result in results if result.model == SAME_POOLING]
    if not chosen:
        return None
    names = sorted({item for result in chosen for scores in result.scores for item in scores.items})
    items = _item_matrix(chosen, {name: column for column, name in enumerate(names)})
    return float((items.part.sum(1) / np.maximum(items.whole.sum(1), np.finfo(float).tiny)).mean())


def _item_matrix(results: Sequence[ModelScores], index: Mapping[str, int]) -> ItemMatrix:
    """Return the items (S, N) of one model in the order of its seeds; the directions of an item are added up, so that it counts once."""
    part, whole = (np.zeros((len(results), len(index))) for _ in range(2))
    for row, result in enumerate(sorted(results, key=lambda result: result.seed or 0)):
        for scores in result.scores:
            columns = [index[item] for item in scores.items]
            np.add.at(part[row], columns, scores.part)
            np.add.at(whole[row], columns, scores.whole)
    return ItemMatrix(part, whole)


def _difference_rows(
    task: str, metric: str, compared: Mapping[str, tuple[PairedComparison, int]], same_pooling: Mapping[str, float | None]
) -> list[Row]:
    corrected = holm([comparison.p_value() for comparison, _ in compared.values()])
    return [
        {
            "task": task,
            "language": language,
            "metric": metric,
            "zero_shot": language != _ENGLISH,
            "items": items,
            **_statistics(comparison),
            "base_same_pooling": same_pooling[language],
            "corrected": p,
            "significant": is_significant(comparison, p),
        }
        for (language, (comparison, items)), p in zip(compared.items(), corrected, strict=True)
    ]


def _average_row(task: str, metric: str, comparisons: Sequence[PairedComparison], same_pooling: Sequence[float | None]) -> Row:
    average = mean(comparisons)
    scores = [score for score in same_pooling if score is not None]
    return {
        "task": task,
        "metric": metric,
        "languages": len(comparisons),
        **_statistics(average),
        "base_same_pooling": float(np.mean(scores)) if len(scores) == len(comparisons) else None,
        "significant": is_significant(average, average.p_value()),
    }


def _statistics(comparison: PairedComparison) -> Row:
    low, high = comparison.confidence_interval()
    return {
        "seeds": len(comparison.base),
        "base": float(comparison.base.mean()),
        "trained": float(comparison.trained.mean()),
        "base_deviation": standard_deviation(comparison.base),
        "trained_deviation": standard_deviation(comparison.trained),
        "difference": comparison.difference,
        "low": low,
        "high": high,
        "p": comparison.p_value(),
    }


def is_significant(comparison: PairedComparison, p: float) -> bool:
    """Return whether a difference is significant: its (corrected) p is below `ALPHA` and its interval excludes 0."""
    low, high = comparison.confidence_interval()
    return p < ALPHA and not low <= 0 <= high
