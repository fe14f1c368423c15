"""Notices a training that learns nothing: a loss that has not fallen after a tenth of the steps, or at the end."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mlctl.config import ResolvedTrain

Losses = NDArray[np.float64]

_MAD_TO_DEVIATION = 1.4826  # the median absolute deviation times this is the standard deviation of a normal distribution
_MIN_STEPS = 30  # for an estimate of the noise
_OUTLIER = 3.0  # standard deviations at which a loss is clipped before a mean is taken
_MIN_FALL = 0.5  # standard deviations of a single step's loss: a fall below that is none
_ERRORS = 2.0  # standard errors by which a fall may have been underestimated
_EARLY_ERRORS = 3.5  # standard errors of a fall that is seen in the first steps alone: several such intervals are tried
_REMEDY = (
    "check train.learning_rate (a model from scratch needs about 1e-3, a pre-trained encoder 2e-5; null: by kind of model), and that "
    "the source and target sentences of the training pairs are translations of each other"
)


def step_of_first_check(settings: ResolvedTrain) -> int:
    """Return the number of steps after which the loss is looked at: a tenth of all, not counting the warm-up."""
    return min(settings.warmup_steps + max(math.ceil(settings.steps / 10), _MIN_STEPS), settings.steps)


def not_fallen(losses: Losses, contrastive: Losses, settings: ResolvedTrain) -> str:
    """Return why a training does not learn, as a sentence with its remedy; "": it learns, or the steps are too few to say.

    Args:
        losses: total loss of every step so far (steps,).
        contrastive: contrastive loss of these steps; with an anchor, whose loss can only grow, it may fall alone.
        settings: of the training. A temperature that changes by the recipe changes the scale of the loss: nothing is said then.
    """
    if settings.temperature_mode == "linear" or has_fallen(losses) or (settings.anchor_weight and has_fallen(contrastive)):
        return ""
    third = len(losses) // 3
    first, last = losses[:third].mean(), losses[-third:].mean()
    return f"the loss has not fallen in {len(losses):,} steps ({first:.4g} → {last:.4g}): {_REMEDY}"


def has_fallen(losses: Losses) -> bool:
    """Return whether a loss has fallen, or may have: only evidence that it has not makes the answer false.

    The first third of the steps is compared with the last. The loss has not fallen if the fall, plus two standard errors, is at most
    half a standard deviation of a single step's loss. A loss that fell at once and has been level since is recognised by comparing
    the first 10, 20, 40 … steps with the last third. The noise is estimated from the differences of successive steps, which a trend
    does not change; single outliers are clipped.
    """
    if len(losses) < _MIN_STEPS:
        return True
    noise = _noise(losses)
    third = len(losses) // 3
    fall, error = _fall(losses, third, noise)
    if fall + _ERRORS * error > _MIN_FALL * noise:
        return True
    first = 10
    while first < third:
        fall, error = _fall(losses, first, noise)
        if fall > max(_EARLY_ERRORS * error, _MIN_FALL * noise):
            return True
        first *= 2
    return False


def _noise(losses: Losses) -> float:
    """Return the standard deviation of a single step's loss around its trend."""
    differences = np.diff(losses)
    return float(_MAD_TO_DEVIATION * np.median(np.abs(differences - np.median(differences))) / math.sqrt(2))


def _fall(losses: Losses, first: int, noise: float) -> tuple[float, float]:
    """Return by how much the last third of the losses is below the first steps on average, and its standard error."""
    last = len(losses) // 3
    fall = _clipped_mean(losses[:first], noise) - _clipped_mean(losses[-last:], noise)
    return fall, noise * math.sqrt(1 / first + 1 / last)


def _clipped_mean(losses: Losses, noise: float) -> float:
    median = np.median(losses)
    return float(np.clip(losses, median - _OUTLIER * noise, median + _OUTLIER * noise).mean())
