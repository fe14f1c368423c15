"""Interpolation between the weights before training and the trained ones (WiSE-FT, arXiv 2109.01903; LM-Cocktail, 2311.13534)."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mlctl.training.judge import Judge, figure, means

#: The values that `auto` tries.
GRID = tuple(number / 10 for number in range(1, 11))

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Interpolation:
    """The λ of the weights that are written, and the figures of each λ that was judged.

    Attributes:
        value: λ in [0, 1].
        candidates: `interpolate` (λ), `sentence_retrieval`, `word_retrieval` (means over languages) and `figure`, all in [0, 1].
    """

    value: float
    candidates: list[dict[str, float | None]] = field(default_factory=list)

    @property
    def figure(self) -> float | None:
        """The figure of the chosen λ; None: it was not judged."""
        return next((row["figure"] for row in self.candidates if row["interpolate"] == self.value), None)


def interpolate(model: Any, base: Any, setting: float | str, judge: Judge | None) -> Interpolation:
    """Put (1 − λ) · base + λ · trained into a trained model. All processes must call this together.

    Args:
        model: the trained model.
        base: the same model before training, on the same device.
        setting: λ, or "auto": the one of `GRID` with the best figure on the dev pairs, of equal ones the largest.
        judge: judges each λ that is tried; None: nothing is judged, and the setting is a number.
    """
    before, trained = _tensors(base), {name: tensor.clone() for name, tensor in _tensors(model).items()}
    candidates = []
    for value in GRID if setting == "auto" else (float(setting),):
        _mix(_tensors(model), before, trained, value)
        if judge and (values := judge.judge(model)) is not None:
            sentence, word = (None if math.isnan(mean) else mean for mean in means(values))
            candidates.append(
                {"interpolate": value, "sentence_retrieval": sentence, "word_retrieval": word, "figure": figure(values)}
            )
            _log.info("interpolation %g: %.1f%% on the dev pairs", value, 100 * figure(values))
    chosen = max(candidates, key=lambda row: (row["figure"], row["interpolate"]))["interpolate"] if setting == "auto" else setting
    result = Interpolation(float(chosen or 0), candidates)
    _mix(_tensors(model), before, trained, result.value)
    return result


def _tensors(model: Any) -> dict[str, Tensor]:
    """Return the parameters and the floating-point buffers by name, tied ones once."""
    return dict(_named(model))


def _named(model: Any) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from ((name, buffer) for name, buffer in model.named_buffers() if buffer.is_floating_point())


@torch.no_grad()
def _mix(into: dict[str, Tensor], before: dict[str, Tensor], trained: dict[str, Tensor], value: float) -> None:
    """Write the mixture; 0 and 1 give the weights before training and the trained ones to the byte."""
    for name, tensor in into.items():
        if value in {0.0, 1.0}:
            tensor.copy_((trained if value else before)[name])
        else:
            tensor.copy_(torch.lerp(before[name], trained[name], value))
