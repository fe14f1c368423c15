"""Telling a training that has gone wrong from one that is noisy, by its losses alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Steps whose losses are looked at together.
BLOCK = 100

# What the loss has fallen by is taken for at least so much. A good model may lose a little when it begins to learn something
# else; and a median of 100 losses strays by a tenth of what single ones do.
_LEAST_NATS, _LEAST_DEVIATIONS = 2.0, 8.0
_TO_DEVIATION = 1.4826  # the median absolute deviation times this is the standard deviation of a normal distribution


class Divergence:
    """Notices when a loss has risen for good.

    Steps are taken a hundred at a time, for their median loss: single outliers, and noise, do not show in it. Training has
    diverged when the newest median is above the lowest one by more than `share` of what the loss had fallen by until then.
    Each shard is a random sample of the corpus, so no kind of text makes a hundred steps harder than all others. Losses may
    be negative.

    Args:
        share: of the fall that may be given back.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._first, self._lowest, self._noise = 0.0, math.inf, math.inf
        self.best_step = 0

    def look(self, losses: Sequence[float] | NDArray[np.float64]) -> str:
        """Take in the losses of all steps so far where they make up another block; return what is wrong, if anything is.

        `best_step` is then where the block of the lowest median ends.
        """
        if not len(losses) or len(losses) % BLOCK:
            return ""
        if not self.best_step and len(losses) > BLOCK:  # training goes on from a checkpoint
            for end in range(BLOCK, len(losses), BLOCK):
                self._take(np.asarray(losses[end - BLOCK : end]), end)
        return self._take(np.asarray(losses[-BLOCK:]), len(losses))

    def _take(self, block: NDArray[np.float64], end: int) -> str:
        median = float(np.median(block))
        # The least of all blocks' noise: one in which the loss falls or begins to rise seems to have more than it has.
        self._noise = min(self._noise, _TO_DEVIATION * float(np.median(np.abs(block - median))))
        if not self.best_step:
            self._first = median
        fall = max(self._first - self._lowest, _LEAST_NATS, _LEAST_DEVIATIONS * self._noise)
        if median > self._lowest + self._share * fall:
            return (
                f"the median loss of the last {BLOCK} steps is {median:.4g}, after {self._lowest:.4g} up to step {self.best_step}"
            )
        if median < self._lowest:
            self._lowest, self.best_step = median, end
        return ""
