"""The temperature τ of a contrastive term: fixed, learned, or moved in a straight line."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mlctl.config import Train

#: A learned τ is not let below it: similarities are multiplied by 100 at most (CLIP, arXiv 2103.00020, section 2.5).
LOWEST = 0.01


class Temperature(nn.Module):
    """τ as a function of the step.

    A learned one is held as log τ, so that steps of one size change it by one factor and it stays positive. Adam here knows no
    weight decay.

    Args:
        settings: the mode, the last τ, the number of steps.
        start: τ of the first step.
    """

    def __init__(self, settings: Train, start: float) -> None:
        super().__init__()
        self._start = start
        self._end = settings.final_temperature if settings.temperature_mode == "linear" else start
        self._last = max(settings.steps - 1, 1)
        if settings.temperature_mode == "learned":
            self.logarithm = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self, step: int) -> float | Tensor:
        """Return τ of a step, counted from 0."""
        if hasattr(self, "logarithm"):
            return self.logarithm.exp()
        return self._start + (self._end - self._start) * (step / self._last)


def learned(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield log τ of each learned temperature in a module."""
    return (part.logarithm for part in module.modules() if isinstance(part, Temperature) and hasattr(part, "logarithm"))


def keep_above_lowest(module: nn.Module) -> None:
    """Put learned temperatures that an update has brought below the lowest one back to it.

    A bound in the forward pass would leave them without a gradient there, for good.
    """
    with torch.no_grad():
        for logarithm in learned(module):
            logarithm.clamp_(min=math.log(LOWEST))
