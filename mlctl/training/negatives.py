"""Which samples are not to be each other's negatives, for they mean the same or may do so.

Symbols: B sentence pairs, N word pairs drawn from them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mlctl.config import Train
from mlctl.modeling.pooling import full_precision
from mlctl.training.collator import Batch
from mlctl.training.losses import alike

Sides = tuple[Tensor, Tensor]


class Negatives:
    """The recipe's choice; what is left out is neither attracted nor repelled."""

    def __init__(self, settings: Train) -> None:
        self._near = settings.false_negative_similarity
        self._hard, self._same_words = settings.hard_word_negatives, settings.same_word_negatives

    def of_sentences(self, sentences: Sides, batch: Batch) -> Tensor:
        """Return which pairs are no negatives of each other, (B, B), for pooled states (B, H) of both sides."""
        same = alike(batch.identities)
        return same if self._near is None else same | near(sentences, self._near)

    def of_words(self, sentences: Sides, batch: Batch) -> Tensor:
        """Return which word pairs are no negatives of each other, (N, N), for the pooled states (B, H) of the sentences.

        Of two sentences that are only near each other it is not known which words are the same: none of their word pairs are
        negatives of each other. Of equal ones it is.
        """
        rows, (source, target) = batch.word_pair_rows, batch.identities
        identities = source[rows], target[rows]
        same = alike(identities, batch.word_pair_spans)
        if self._near is not None:
            same |= near(sentences, self._near)[rows][:, rows] & ~alike(identities)
        if not self._hard:
            same |= alike(identities)
        return same if self._same_words else same | alike(batch.word_pair_words)


def near(sentences: Sides, least: float) -> Tensor:
    """Tell which pairs have sentences, on the same or on different sides, whose cosine is above `least`, (B, B) symmetric.

    Args:
        sentences: (B, H) of the source and of the target side; no gradient goes back to them.
        least: the cosine.
    """
    with torch.no_grad(), torch.autocast(sentences[0].device.type, enabled=False):
        x, y = (functional.normalize(full_precision(side), dim=1) for side in sentences)
        across = x @ y.T > least
        return (x @ x.T > least) | (y @ y.T > least) | across | across.T
