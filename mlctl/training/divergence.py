"""Stops a training that has diverged: a loss or gradient that is not finite, or a loss that has risen for good."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlctl.errors import InputError
from mlctl.modeling.training_checkpoint import CheckpointFolder
from mlctl.training.step_metrics import StepMetrics

#: Steps whose losses are taken together.
BLOCK = 100

# The loss counts as fallen by at least so much. A good model may lose a little when it begins to learn something else; and a
# median of 100 losses varies by a tenth of what single losses do.
_MIN_FALL_NATS, _MIN_FALL_DEVIATIONS = 2.0, 8.0
_MAD_TO_DEVIATION = 1.4826  # the median absolute deviation times this is the standard deviation of a normal distribution


class DivergenceDetector:
    """Detects that a loss has risen for good.

    Steps are taken a hundred at a time, by their median loss, in which single outliers and noise do not show. Training has diverged
    when the newest median is above the lowest one by more than `max_rise` of the fall of the loss until then. Each shard is a random
    sample of the corpus, so no kind of text makes a hundred steps harder than all others. Losses may be negative.

    Args:
        max_rise: share of the fall that may be lost again.

    Attributes:
        best_step: the last step of the block with the lowest median; 0 before the first block.
    """

    def __init__(self, max_rise: float) -> None:
        self._max_rise = max_rise
        self._first, self._lowest, self._noise = 0.0, math.inf, math.inf
        self.best_step = 0

    def check(self, losses: Sequence[float] | NDArray[np.float64]) -> str:
        """Return why training has diverged, or "". `losses` are those of all steps so far; they are read once per block."""
        if not len(losses) or len(losses) % BLOCK:
            return ""
        if not self.best_step and len(losses) > BLOCK:  # training resumes from a checkpoint
            for end in range(BLOCK, len(losses), BLOCK):
                self._add_block(np.asarray(losses[end - BLOCK : end]), end)
        return self._add_block(np.asarray(losses[-BLOCK:]), len(losses))

    def _add_block(self, block: NDArray[np.float64], end: int) -> str:
        median = float(np.median(block))
        # The least noise of all blocks: a block in which the loss falls or begins to rise seems to have more than it has.
        self._noise = min(self._noise, _MAD_TO_DEVIATION * float(np.median(np.abs(block - median))))
        if not self.best_step:
            self._first = median
        fall = max(self._first - self._lowest, _MIN_FALL_NATS, _MIN_FALL_DEVIATIONS * self._noise)
        if median > self._lowest + self._max_rise * fall:
            return (
                f"the median loss of the last {BLOCK} steps is {median:.4g}, after {self._lowest:.4g} up to step {self.best_step}"
            )
        if median < self._lowest:
            self._lowest, self.best_step = median, end
        return ""


def check_finite(metrics: StepMetrics, step: int, checkpoints: CheckpointFolder) -> None:
    """Raise an InputError if the loss or the gradient of a step is not finite; the step has not changed the weights then."""
    if not (math.isfinite(metrics.loss) and math.isfinite(metrics.gradient_norm)):
        reason = f"loss {metrics.loss}, gradient norm {metrics.gradient_norm}"
        raise _diverged(reason, step, metrics.learning_rate, checkpoints.newest_name(), checkpoints)


def check_rise(
    detector: DivergenceDetector, losses: NDArray[np.float64], metrics: StepMetrics, checkpoints: CheckpointFolder
) -> None:
    """Raise an InputError if the loss has risen for good; checkpoints newer than the best are of no use then."""
    if reason := detector.check(losses):
        error = _diverged(reason, len(losses), metrics.learning_rate, checkpoints.best_name(), checkpoints)
        raise InputError(error.problem, f"{error.remedy}; increase train.max_loss_rise if the rise is expected")


def _diverged(reason: str, step: int, rate: float, last_good: str, checkpoints: CheckpointFolder) -> InputError:
    return InputError(
        f"training diverged at step {step}: {reason}, learning rate {rate:.3g}; "
        f"last good checkpoint: {last_good} in {checkpoints.folder}",
        "lower train.learning_rate or train.max_gradient_norm, raise train.warmup_steps, or set train.precision=fp32",
    )
