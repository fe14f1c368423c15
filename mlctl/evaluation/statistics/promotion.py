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
class Duel:
    """Champion and challenger in one task, or in the mean of all (`task` is "all"): scores in [0, 1], 95% interval, p."""

    task: str
    champion: float
    challenger: float
    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Verdict:
    """What came of it: `better` tells whether the challenger is promoted, `why` says so for people; the first duel is the mean of all."""

    better: bool
    why: str
    duels: tuple[Duel, ...]


def decide(evaluated: Path, resamples: int, seed: int, tolerance: float) -> Verdict:
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
    duels = (_duel("all", _together(list(tasks.values()))), *(_duel(task, one) for task, one in tasks.items()))
    return _verdict(duels, tolerance)


def _verdict(duels: tuple[Duel, ...], tolerance: float) -> Verdict:
    whole, *tasks = duels
    fallen = [duel for duel in tasks if duel.difference < -tolerance]
    if fallen:
        said = ", ".join(f"{duel.task} {_points(duel.difference)}" for duel in fallen)
        return Verdict(False, f"falls by more than {100 * tolerance:g} points: {said}", duels)
    said = (
        f"{_points(whole.difference)} on the whole (95% interval {_points(whole.low)} … {_points(whole.high)}, p {whole.p:.3g})"
    )
    if whole.difference > 0 and whole.low > 0 and whole.p < ALPHA:
        return Verdict(True, f"better beyond noise: {said}", duels)
    return Verdict(False, f"not better beyond noise: {said}", duels)


def _together(tasks: Sequence[Comparison]) -> Comparison:
    """Return the mean over tasks, which may have different numbers of seeds."""
    means = [
        np.array([np.mean([one.mean() for one in figures])])
        for figures in zip(*((t.base, t.trained) for t in tasks), strict=True)
    ]
    return Comparison(*means, *(np.mean(draws, axis=0) for draws in zip(*((t.drawn, t.swapped) for t in tasks), strict=True)))


def _duel(task: str, one: Comparison) -> Duel:
    low, high = one.interval()
    return Duel(task, float(one.base.mean()), float(one.trained.mean()), one.difference, low, high, one.p())


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
