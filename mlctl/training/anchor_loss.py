"""The anchor losses against forgetting: the squared distance of vectors to those of the encoder before training.

As in Cao, Kitaev and Klein 2020 (arXiv 2002.03518), which anchors the words of one language; here it is sentences, words or both,
of one side or both, scaled to length 1.
"""

from __future__ import annotations

import copy
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlctl.modeling.pooling import full_precision
from mlctl.training.collator import Batch


class AnchorEncoder(nn.Module):
    """A frozen copy of a model's encoder that stays in evaluation mode, so that it has no dropout."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(model.base_model).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> AnchorEncoder:
        """Ignore the mode: the copy stays in evaluation mode."""
        del mode
        return self


class Anchored(NamedTuple):
    """Which vectors of this process are held: `sentences` (s,) and `words` (w,), bool, and the numbers held over all processes."""

    sentences: Tensor
    words: Tensor
    all_sentences: int
    all_words: int


def anchored(batch: Batch, side: Literal["both", "source"]) -> Anchored:
    """Return which sentences and words of a batch an anchor holds, in the order of the micro-batches."""
    sides = 2 if side == "both" else 1
    sentences, words = sides * batch.pairs, sides * len(batch.word_pair_rows)
    return Anchored(
        _held(batch.sequence_positions, sentences)[batch.local_sequences],
        _held(batch.word_positions, words)[batch.local_words],
        sentences,
        words,
    )


def _held(positions: Tensor, count: int) -> Tensor:
    """Return for each sorted position whether it is one of the first `count` of `positions`, which begin with the source side."""
    held = torch.zeros(len(positions), dtype=torch.bool, device=positions.device)
    held[positions[:count]] = True
    return held


def distance_sum(vectors: Tensor, anchors: Tensor, held: Tensor) -> Tensor:
    """Return Σ ‖v/‖v‖ − a/‖a‖‖² over the held ones (N,) of vectors v (N, H) and their anchors a (N, H); each term is from 0 to 4."""
    vectors, anchors = (functional.normalize(full_precision(side), dim=1) for side in (vectors, anchors))
    return ((vectors - anchors).square().sum(dim=1) * held).sum()
