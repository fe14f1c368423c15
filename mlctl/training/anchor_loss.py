"""A guard against forgetting: the encoder as it was before training, which the trained one must not leave far behind.

Its distance to the trained encoder is a term of the loss, as in Cao, Kitaev and Klein 2020 (arXiv 2002.03518): there of words of one
language, here of sentences of all, scaled to length 1.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from mlctl.modeling.pooling import full_precision


class Anchor(nn.Module):
    """A frozen copy of a model's encoder, without dropout whatever mode it is put into."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(model.base_model).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Anchor:
        """Stay as it is."""
        del mode
        return self


def distance(vectors: Tensor, before: Tensor) -> Tensor:
    """Return the squared distances, summed over N, of vectors (N, H) to what they were (N, H), both scaled to length 1: 0 to 4 each."""
    now, then = (functional.normalize(full_precision(one), dim=1) for one in (vectors, before))
    return (now - then).square().sum()
