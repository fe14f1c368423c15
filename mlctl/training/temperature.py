"""The temperature τ of a contrastive loss: fixed, learned, or on a linear schedule."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mlctl.config import ResolvedTrain

#: The lower bound of a learned τ: similarities are multiplied by 100 at most (CLIP, arXiv 2103.00020, section 2.5).
MIN_TEMPERATURE = 0.01


class Temperature(nn.Module):
    """τ as a function of the step.

    A learned τ is stored as log τ, so that steps of one size change it by one factor and it stays positive. Adam has no weight
    decay here.

    Args:
        settings: the mode, the last τ, the number of steps.
        start: τ of the first step.
    """

    def __init__(self, settings: ResolvedTrain, start: float) -> None:
        super().__init__()
        self._start = start
        self._end = settings.final_temperature if settings.temperature_mode == "linear" else start
        self._last_step = max(settings.steps - 1, 1)
        if settings.temperature_mode == "learned":
            self.log_temperature = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self, step: int) -> float | Tensor:
        """Return τ of a step, counted from 0."""
        if hasattr(self, "log_temperature"):
            return self.log_temperature.exp()
        return self._start + (self._end - self._start) * (step / self._last_step)


def learned_temperatures(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield log τ of each learned temperature in a module."""
    return (
        part.log_temperature for part in module.modules() if isinstance(part, Temperature) and hasattr(part, "log_temperature")
    )


def clamp_temperatures(module: nn.Module) -> None:
    """Clamp the learned temperatures of a module to `MIN_TEMPERATURE`, after an update.

    A bound in the forward pass would leave those below it without a gradient for good.
    """
    with torch.no_grad():
        for log_temperature in learned_temperatures(module):
            log_temperature.clamp_(min=math.log(MIN_TEMPERATURE))
