"""The anchor loss against forgetting: the squared distance of sentence vectors to those of the encoder before training.

As in Cao, Kitaev and Klein 2020 (arXiv 2002.03518), which anchors the words of one language; here it is the sentences of all
languages, scaled to length 1.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from mlctl.modeling.pooling import full_precision


class AnchorEncoder(nn.Module):
    """A frozen copy of a model's encoder that stays in evaluation mode, so that it has no dropout."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(model.base_model).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> AnchorEncoder:
        """Ignore the mode: the copy stays in evaluation mode."""
        del mode
        return self


def squared_distance(vectors: Tensor, anchors: Tensor) -> Tensor:
    """Return Σ ‖v/‖v‖ − a/‖a‖‖² over N vectors v (N, H) and their anchors a (N, H), a scalar; each term is between 0 and 4."""
    vectors, anchors = (functional.normalize(full_precision(side), dim=1) for side in (vectors, anchors))
    return (vectors - anchors).square().sum()
