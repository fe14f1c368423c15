"""The training state, everything that changes while training, as named tensors: the content of a checkpoint.

The order of the data and the random numbers are not part of it: both are pure functions of the seed and the step.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlctl.config import ResolvedTrain
from mlctl.modeling.fully_sharded import share_of
from mlctl.training.divergence import BLOCK
from mlctl.training.model_selection import ModelSelection
from mlctl.training.objective import Objective
from mlctl.training.optimiser import Optimiser
from mlctl.training.step_metrics import StepMetrics
from mlctl.training.temperature import learned_temperatures


class TrainingState:
    """Weights, optimiser, and the metrics of all steps so far.

    Attributes:
        objective: model and projection heads.
        selection: judgements, and the weights that may be written.
        optimiser: Adam over their weights.
        history: (steps, metrics) float64, one row a step in the columns of StepMetrics; those of steps not read yet are NaN.
        step: number of steps done.
        read_step: number of steps whose metrics have been read from the device.
    """

    def __init__(self, objective: Objective, settings: ResolvedTrain, selection: ModelSelection) -> None:
        self.objective, self.selection = objective, selection
        temperatures = list(learned_temperatures(objective))
        identities = {id(temperature) for temperature in temperatures}
        weights = [weight for weight in self._weights.values() if id(weight) not in identities]
        self.optimiser = Optimiser(weights, settings, temperatures)
        self.history = torch.full((settings.steps, len(StepMetrics._fields)), torch.nan, dtype=torch.float64)
        self.step = self.read_step = 0
        self._unread: list[Tensor] = []

    def record(self, metrics: Tensor) -> None:
        """Add the metrics (in the columns of StepMetrics) of a step that is done; they stay on the device until they are read."""
        self._unread.append(metrics)
        self.step += 1

    def read_metrics(self) -> range:
        """Copy the metrics of the steps since the last reading from the device, which waits for it; return these steps, from 1."""
        read = range(self.read_step + 1, self.step + 1)
        if self._unread:
            self.history[self.read_step : self.step] = torch.stack(self._unread).to("cpu", torch.float64)
        self._unread, self.read_step = [], self.step
        return read

    def metrics(self, step: int) -> StepMetrics:
        """Return the metrics of a step, counted from 1, that has been read."""
        return StepMetrics(*self.history[step - 1].tolist())

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.objective.parameters()).device

    @property
    def last_metrics(self) -> StepMetrics:
        """The metrics of the last step that has been read."""
        return self.metrics(self.read_step)

    @property
    def losses(self) -> NDArray[np.float64]:
        """The total loss of every step read so far, (steps,)."""
        losses: NDArray[np.float64] = self.history[: self.read_step, 0].numpy()
        return losses

    @property
    def contrastive_losses(self) -> NDArray[np.float64]:
        """The contrastive loss of every step read so far, (steps,)."""
        losses: NDArray[np.float64] = self.history[: self.read_step, 1].numpy()
        return losses

    @property
    def recent_loss(self) -> float:
        """The mean loss of the last hundred steps, which decides about the best checkpoint. It is not a measure of quality."""
        return float(self.losses[-BLOCK:].mean())

    @property
    def _weights(self) -> dict[str, torch.nn.Parameter]:
        """The trained parameters by name; an anchor encoder is frozen, and is copied again from the model that training starts from."""
        return {name: weight for name, weight in self.objective.named_parameters() if weight.requires_grad}

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as tensors by name. The metrics of all steps must have been read."""
        weights = self._weights
        moments = {
            f"adam.{kind}.{name}": value
            for name, parameter in weights.items()
            for kind, value in self.optimiser.adam.state.get(parameter, {}).items()
        }
        state = {f"weight.{name}": value for name, value in weights.items()}
        return {**state, **moments, **self.selection.tensors(), "history": self.history[: self.step]}

    def restore(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state that `tensors` returned after `step` steps."""
        self.step = self.read_step = step
        self.history[:step] = tensors["history"]
        self.selection.restore(step, tensors)
        with torch.no_grad():
            for name, parameter in self._weights.items():
                parameter.copy_(share_of(tensors[f"weight.{name}"], parameter))
                self._restore_moments(name, parameter, tensors)

    def _restore_moments(self, name: str, parameter: torch.nn.Parameter, tensors: Mapping[str, Tensor]) -> None:
        kinds = [kind for kind in ("step", "exp_avg", "exp_avg_sq") if f"adam.{kind}.{name}" in tensors]
        if kinds:  # a weight that never had a gradient has no moments
            self.optimiser.adam.state[parameter] = {kind: _placed(tensors[f"adam.{kind}.{name}"], parameter) for kind in kinds}


def _placed(moment: Tensor, parameter: torch.nn.Parameter) -> Tensor:
    """Return a moment of Adam, or its number of steps, where the optimiser has that of the parameter."""
    return share_of(moment, parameter) if moment.ndim or not parameter.ndim else moment.to(parameter.device, copy=True)
