"""False negatives: samples of a batch that are excluded as each other's negatives because they mean, or may mean, the same.

Symbols: B sentence pairs, N word pairs drawn from them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mlctl.config import Train
from mlctl.modeling.pooling import full_precision
from mlctl.training.collator import Batch
from mlctl.training.losses import same_content

Sides = tuple[Tensor, Tensor]


class FalseNegatives:
    """The pairs of samples that the recipe excludes as negatives; they are neither attracted nor repelled."""

    def __init__(self, settings: Train) -> None:
        self._min_similarity = settings.false_negative_similarity
        self._hard_words, self._same_words = settings.hard_word_negatives, settings.same_word_negatives

    def sentence_mask(self, sentences: Sides, batch: Batch) -> Tensor:
        """Return which sentence pairs are no negatives of each other, (B, B), for pooled states (B, H) of both sides."""
        same = same_content(batch.identities)
        return same if self._min_similarity is None else same | similar_pairs(sentences, self._min_similarity)

    def word_mask(self, sentences: Sides, batch: Batch) -> Tensor:
        """Return which word pairs are no negatives of each other, (N, N), for the pooled states (B, H) of the sentences.

        Of two sentences that are only similar it is not known which words are the same: none of their word pairs are negatives of
        each other. Of equal sentences it is known.
        """
        rows, (source, target) = batch.word_pair_rows, batch.identities
        identities = source[rows], target[rows]
        mask = same_content(identities, batch.word_pair_spans)
        if self._min_similarity is not None:
            mask |= similar_pairs(sentences, self._min_similarity)[rows][:, rows] & ~same_content(identities)
        if not self._hard_words:
            mask |= same_content(identities)
        return mask if self._same_words else mask | same_content(batch.word_hashes)


def similar_pairs(sentences: Sides, min_similarity: float) -> Tensor:
    """Return which pairs have sentences, on the same or on different sides, with a cosine above `min_similarity`, (B, B) symmetric.

    Args:
        sentences: (B, H) of the source and of the target side; no gradient flows to them.
        min_similarity: the cosine.
    """
    with torch.no_grad(), torch.autocast(sentences[0].device.type, enabled=False):
        x, y = (functional.normalize(full_precision(side), dim=1) for side in sentences)
        across = x @ y.T > min_similarity
        return (x @ x.T > min_similarity) | (y @ y.T > min_similarity) | across | across.T
