"""Everything that changes while training, as named tensors: what a checkpoint holds.

The order of the data and the random numbers are not among it: both are pure functions of the seed and the step.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlctl.config import Train
from mlctl.training.divergence import BLOCK
from mlctl.training.objective import Objective
from mlctl.training.optimiser import Optimiser
from mlctl.training.temperature import learned

#: Columns of the history, in the order of schema STEPS after `step`.
FIGURES = ("loss", "contrastive", "mlm", "learning_rate", "gradient_norm")


class TrainingState:
    """Weights, optimiser, and the figures of all steps so far.

    Attributes:
        objective: model and projections.
        optimiser: Adam over their weights.
        history: (steps, figures) float64, a row a step; NaN where there is no figure.
        step: how many steps are done.
    """

    def __init__(self, objective: Objective, settings: Train) -> None:
        self.objective = objective
        temperatures = list(learned(objective))
        weights = [weight for weight in self._weights.values() if all(weight is not one for one in temperatures)]
        self.optimiser = Optimiser(weights, settings, temperatures)
        self.history = torch.full((settings.steps, len(FIGURES)), torch.nan, dtype=torch.float64)
        self.step = 0

    @property
    def losses(self) -> NDArray[np.float64]:
        """The total loss of every step so far, (steps,)."""
        losses: NDArray[np.float64] = self.history[: self.step, 0].numpy()
        return losses

    @property
    def recent_loss(self) -> float:
        """The mean loss of the last hundred steps: what says which checkpoint is best. It is no measure of quality."""
        return float(self.losses[-BLOCK:].mean())

    @property
    def _weights(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by name; an anchor is not, and is made anew of the model that training starts from."""
        return {name: weight for name, weight in self.objective.named_parameters() if weight.requires_grad}

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as tensors by name."""
        weights = self._weights
        moments = {
            f"adam.{kind}.{name}": value
            for name, parameter in weights.items()
            for kind, value in self.optimiser.adam.state.get(parameter, {}).items()
        }
        return {**{f"weight.{name}": value for name, value in weights.items()}, **moments, "history": self.history[: self.step]}

    def restore(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Take over the state that `tensors` returned after `step` steps."""
        self.step = step
        self.history[:step] = tensors["history"]
        with torch.no_grad():
            for name, parameter in self._weights.items():
                parameter.copy_(tensors[f"weight.{name}"])
                self._restore_moments(name, parameter, tensors)

    def _restore_moments(self, name: str, parameter: torch.nn.Parameter, tensors: Mapping[str, Tensor]) -> None:
        kinds = [kind for kind in ("step", "exp_avg", "exp_avg_sq") if f"adam.{kind}.{name}" in tensors]
        if kinds:  # a weight that never had a gradient has no moments
            self.optimiser.adam.state[parameter] = {
                kind: tensors[f"adam.{kind}.{name}"].to(parameter.device, copy=True) for kind in kinds
            }
