"""Adam with the recipe's learning-rate schedule and gradient clipping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from mlctl.config import ResolvedTrain
from mlctl.modeling.fully_sharded import clip_gradients, is_sharded
from mlctl.training.lr_schedule import learning_rate


class Optimiser:
    """Adam with the recipe's learning rate at each step and gradients clipped to the recipe's norm.

    Args:
        parameters: the parameters to train.
        settings: learning rates and the maximum norm.
        temperatures: log τ of each learned temperature: they have their own learning rate, and their gradients are not part of the
            norm.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], settings: ResolvedTrain, temperatures: Sequence[nn.Parameter] = ()
    ) -> None:
        self._parameters = list(parameters)
        sharded = [parameter for parameter in self._parameters if is_sharded(parameter)]  # cannot be updated together with others
        whole = [parameter for parameter in self._parameters if not is_sharded(parameter)]
        rates = (settings.learning_rate, settings.learning_rate, settings.temperature_learning_rate)
        groups = [
            {"params": parameters, "peak": rate}
            for parameters, rate in zip((whole, sharded, list(temperatures)), rates, strict=True)
            if parameters
        ]
        self.adam = torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)
        self._settings = settings

    def zero_grad(self) -> None:
        """Drop all gradients."""
        self.adam.zero_grad(set_to_none=True)

    def clip_gradients(self) -> Tensor:
        """Scale the gradients down to max_gradient_norm where they exceed it, and return the norm they had."""
        return clip_gradients(self._parameters, self._settings.max_gradient_norm)

    def step(self, step: int, gradient_norm: Tensor) -> None:
        """Update the weights with the learning rate of a step, counted from 0; not at all if the norm of the gradients is not finite.

        The norm stays on the device: `found_inf` is what torch's fused optimisers read for that, as GradScaler sets it.
        """
        rate = learning_rate(self._settings, step)
        for group in self.adam.param_groups:
            group["lr"] = rate * (group["peak"] / self._settings.learning_rate)
        self.adam.found_inf = (~torch.isfinite(gradient_norm)).to(torch.float32)  # type: ignore[attr-defined]
        self.adam.step()
