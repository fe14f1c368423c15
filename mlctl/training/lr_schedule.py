"""The learning-rate schedule: warm-up and decay."""

from __future__ import annotations

import math

from mlctl.config import ResolvedTrain


def learning_rate(settings: ResolvedTrain, step: int) -> float:
    """Return the learning rate of a step, counted from 0: a linear warm-up, then constant or decaying to 0.

    The decay is linear, or half a cosine (arXiv 1608.03983, equation 5, without restarts).
    """
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    if settings.lr_schedule == "none":
        return settings.learning_rate
    steps_left, decay_steps = settings.steps - step, settings.steps - settings.warmup_steps
    if settings.lr_schedule == "linear":
        return settings.learning_rate * steps_left / decay_steps
    return settings.learning_rate * (1 - math.cos(math.pi * steps_left / decay_steps)) / 2
