"""A linear classifier on states of a frozen encoder, and its loss as a function of the states.

Symbols: N samples, H size of a state, C classes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_MAX_ITERATIONS = 200
_L2_WEIGHT = 1e-3  # of the squared weights, relative to the mean loss: without it, separable samples have no minimum


class LinearHead(NamedTuple):
    """Logits of a state h are weights · (h − mean) / deviation + bias; all float64, `weights` (C, H), the others (H,) and (C,)."""

    weights: Tensor
    bias: Tensor
    mean: Tensor
    deviation: Tensor

    def loss(self, states: Tensor, labels: Tensor) -> Tensor:
        """Return the cross entropy of states (N, H) and labels (N,), summed over the samples."""
        logits = (states.double() - self.mean) / self.deviation @ self.weights.T + self.bias
        return functional.cross_entropy(logits, labels, reduction="sum")


def fit_head(states: Tensor, labels: Tensor, classes: int) -> LinearHead:
    """Fit multinomial logistic regression with an L2 penalty to states (N, H) and labels (N,), by L-BFGS from zero weights."""
    inputs = states.detach().double()
    mean, deviation = inputs.mean(0), inputs.std(0, correction=0).clamp_min(torch.finfo(torch.float32).eps)
    weights = torch.zeros(classes, inputs.shape[1], dtype=torch.float64, device=inputs.device, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, device=inputs.device, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=_MAX_ITERATIONS, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimiser.zero_grad()
        head = LinearHead(weights, bias, mean, deviation)
        value = head.loss(inputs, labels) / len(labels) + _L2_WEIGHT * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimiser.step(objective)  # type: ignore[no-untyped-call]
    return LinearHead(weights.detach(), bias.detach(), mean, deviation)
