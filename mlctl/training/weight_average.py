"""Averaging of weights over the last steps (stochastic weight averaging, arXiv 1803.05407; of the latest checkpoints, 2209.14981)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.optim.swa_utils import get_swa_multi_avg_fn

_PREFIX = "average"


class WeightAverage:
    """The mean of the weights after each of the last `steps` steps, at the steps where weights may be written.

    One copy of the weights is kept for each of these ends that is fewer than `steps` steps away.

    Args:
        weights: the trained weights by name.
        steps: number of steps that are averaged; at an end with fewer steps before it, all of them are.
        ends: the steps at which the mean is asked for.
    """

    def __init__(self, weights: Mapping[str, nn.Parameter], steps: int, ends: Sequence[int]) -> None:
        self._weights, self._steps, self._ends = weights, steps, ends
        self._means: dict[int, list[Tensor]] = {}
        self._update = get_swa_multi_avg_fn()  # type: ignore[no-untyped-call]

    def update(self, step: int) -> None:
        """Count the weights after a step, counted from 1."""
        current = [weight.detach() for weight in self._weights.values()]
        self._means = {end: mean for end, mean in self._means.items() if end >= step}
        for end in self._open(step):
            if end not in self._means:
                self._means[end] = [weight.clone() for weight in current]
            else:
                self._update(self._means[end], current, step - max(end - self._steps, 0) - 1)

    def at(self, end: int) -> Mapping[str, Tensor]:
        """Return the mean weights by name at an end, before the next step is counted."""
        return dict(zip(self._weights, self._means[end], strict=True))

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as tensors by name."""
        return {
            f"{_PREFIX}.{end}.{name}": mean
            for end, means in self._means.items()
            for name, mean in zip(self._weights, means, strict=True)
        }

    def restore(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state that `tensors` returned after a step."""
        self._means = {
            end: [tensors[f"{_PREFIX}.{end}.{name}"].to(weight.device, copy=True) for name, weight in self._weights.items()]
            for end in self._open(step)
        }

    def _open(self, step: int) -> list[int]:
        """Return the ends whose mean includes the weights after a step."""
        return [end for end in self._ends if max(end - self._steps, 0) < step <= end]
