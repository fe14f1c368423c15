"""Whether a challenger takes the champion's place: better beyond noise on the whole, and in no task much worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlctl.evaluation.statistics.model_comparison import by_task
from mlctl.evaluation.statistics.paired_tests import ALPHA, Comparison, mean
from mlctl.evaluation.statistics.run_comparison import read_judged


@dataclass(frozen=True)
class TaskComparison:
    """Champion and challenger in one task, or in the mean of all (`task` is "all"): scores in [0, 1], 95% interval, p."""

    task: str
    champion: float
    challenger: float
    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class PromotionDecision:
    """What came of it: `better` tells whether the challenger is promoted, `why` says so for people; the first comparison is the mean of all."""

    better: bool
    why: str
    comparisons: tuple[TaskComparison, ...]


def decide(evaluated: Path, resamples: int, seed: int, tolerance: float) -> PromotionDecision:
    """Return the verdict on a challenger, judged as `trained` against the champion as `base`.

    It is better when the mean of its scores over tasks (each the mean over languages, English left out where there are others) is
    higher, with a 95% interval by paired bootstrap that holds no 0 and a p of approximate randomisation below 0.05, and when no task's
    score is lower by more than `tolerance`.

    Args:
        evaluated: result of `harness.evaluate`.
        resamples: draws of each test.
        seed: of the draws.
        tolerance: share of the score, in [0, 1].
    """
    judged = [one for model in ("base", "trained") for one in read_judged(evaluated, model, model)]
    tasks = {task: mean(languages) for task, languages in by_task(judged, resamples, seed).items()}
    comparisons = (_comparison("all", _together(list(tasks.values()))), *(_comparison(task, one) for task, one in tasks.items()))
    return _verdict(comparisons, tolerance)


def _verdict(comparisons: tuple[TaskComparison, ...], tolerance: float) -> PromotionDecision:
    whole, *tasks = comparisons
    fallen = [comparison for comparison in tasks if comparison.difference < -tolerance]
    if fallen:
        said = ", ".join(f"{comparison.task} {_points(comparison.difference)}" for comparison in fallen)
        return PromotionDecision(False, f"falls by more than {100 * tolerance:g} points: {said}", comparisons)
    said = (
        f"{_points(whole.difference)} on the whole (95% interval {_points(whole.low)} … {_points(whole.high)}, p {whole.p:.3g})"
    )
    if whole.difference > 0 and whole.low > 0 and whole.p < ALPHA:
        return PromotionDecision(True, f"better beyond noise: {said}", comparisons)
    return PromotionDecision(False, f"not better beyond noise: {said}", comparisons)


def _together(tasks: Sequence[Comparison]) -> Comparison:
    """Return the mean over tasks, which may have different numbers of seeds."""
    means = [
        np.array([np.mean([one.mean() for one in figures])])
        for figures in zip(*((t.base, t.trained) for t in tasks), strict=True)
    ]
    return Comparison(*means, *(np.mean(draws, axis=0) for draws in zip(*((t.drawn, t.swapped) for t in tasks), strict=True)))


def _comparison(task: str, one: Comparison) -> TaskComparison:
    low, high = one.interval()
    return TaskComparison(task, float(one.base.mean()), float(one.trained.mean()), one.difference, low, high, one.p())


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
