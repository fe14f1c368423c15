"""Metrics of one optimiser step."""

from __future__ import annotations

from typing import NamedTuple


class StepMetrics(NamedTuple):
    """The metrics of one step: the columns of the history, and of schema STEPS after `step`. NaN where a loss is switched off."""

    loss: float
    contrastive: float
    mlm: float
    learning_rate: float
    gradient_norm: float
