"""Adam, its learning rate, and the bound on gradients."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mlctl.config import Train


class Optimiser:
    """Adam with the recipe's learning rate at each step, and gradients scaled down to the recipe's norm."""

    def __init__(self, parameters: Iterable[nn.Parameter], settings: Train) -> None:
        self._parameters = list(parameters)
        self.adam = torch.optim.Adam(self._parameters, lr=settings.learning_rate, fused=True)
        self._settings = settings

    def bound_gradients(self) -> Tensor:
        """Scale the gradients down to max_gradient_norm where they exceed it, and return the norm they had."""
        return nn.utils.clip_grad_norm_(self._parameters, self._settings.max_gradient_norm)

    def update(self, step: int) -> None:
        """Move the weights along the gradients and drop these."""
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(self._settings, step)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)


def learning_rate(settings: Train, step: int) -> float:
    """Return the learning rate of a step, counted from 0: a linear rise over the warm-up, then level or falling to 0."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    if settings.decay == "none":
        return settings.learning_rate
    return settings.learning_rate * (settings.steps - step) / (settings.steps - settings.warmup_steps)
