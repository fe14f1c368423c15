"""Promotion decision: a challenger replaces the champion if it is significantly better overall and much worse on no task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlctl.evaluation.statistics.model_comparison import comparisons_by_task
from mlctl.evaluation.statistics.paired_tests import ALPHA, PairedComparison, mean
from mlctl.evaluation.statistics.run_comparison import read_scores


@dataclass(frozen=True)
class TaskComparison:
    """Champion and challenger on one task, or in the mean of all (`task` is "all"): scores in [0, 1], 95% interval, p."""

    task: str
    champion: float
    challenger: float
    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class PromotionDecision:
    """Decision on a challenger.

    Attributes:
        is_better: whether the challenger is promoted.
        reason: why, as a message.
        comparisons: the mean of all tasks first, then each task.
    """

    is_better: bool
    reason: str
    comparisons: tuple[TaskComparison, ...]


def decide(evaluated: Path, resamples: int, seed: int, tolerance: float) -> PromotionDecision:
    """Return the decision on a challenger, evaluated as `trained` against the champion as `base`.

    It is promoted if the mean of its scores over tasks (each the mean over languages, without English if there are others) is higher,
    with a 95% interval by paired bootstrap that excludes 0 and a p of approximate randomisation below 0.05, and if no task's score is
    lower by more than `tolerance`.

    Args:
        evaluated: result of `evaluate`.
        resamples: resamples of each test.
        seed: of the resampling.
        tolerance: share of the score, in [0, 1].
    """
    results = [result for model in ("base", "trained") for result in read_scores(evaluated, model, model)]
    tasks = {task: mean(languages) for task, languages in comparisons_by_task(results, resamples, seed).items()}
    overall = _task_comparison("all", _mean_over_tasks(list(tasks.values())))
    return _decision(overall, [_task_comparison(task, comparison) for task, comparison in tasks.items()], tolerance)


def _decision(overall: TaskComparison, tasks: Sequence[TaskComparison], tolerance: float) -> PromotionDecision:
    comparisons = (overall, *tasks)
    worse = [task for task in tasks if task.difference < -tolerance]
    if worse:
        losses = ", ".join(f"{task.task} {_points(task.difference)}" for task in worse)
        return PromotionDecision(False, f"decreases by more than {100 * tolerance:g} points: {losses}", comparisons)
    gain = (
        f"{_points(overall.difference)} points overall "
        f"(95% interval {_points(overall.low)} … {_points(overall.high)}, p {overall.p:.3g})"
    )
    if overall.difference > 0 and overall.low > 0 and overall.p < ALPHA:
        return PromotionDecision(True, f"significantly better: {gain}", comparisons)
    return PromotionDecision(False, f"not significantly better: {gain}", comparisons)


def _mean_over_tasks(tasks: Sequence[PairedComparison]) -> PairedComparison:
    """Return the mean over tasks, which may have different numbers of seeds."""
    base, trained = (
        np.array([np.mean([scores.mean() for scores in column])])
        for column in zip(*((task.base, task.trained) for task in tasks), strict=True)
    )
    bootstrap, randomised = (
        np.mean(column, axis=0) for column in zip(*((task.bootstrap, task.randomised) for task in tasks), strict=True)
    )
    return PairedComparison(base, trained, bootstrap, randomised)


def _task_comparison(task: str, comparison: PairedComparison) -> TaskComparison:
    return TaskComparison(
        task,
        float(comparison.base.mean()),
        float(comparison.trained.mean()),
        comparison.difference,
        *comparison.confidence_interval(),
        comparison.p_value(),
    )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
