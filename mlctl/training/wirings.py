"""How the pooled states of sentences and words become contrastive terms: the paper's wiring, its ablation, and our own.

Symbols: B sentence pairs, N word couples drawn from them, H size of the encoder's states.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mlctl.config import Train
from mlctl.modeling.heads import Projection
from mlctl.training.batch import Batch
from mlctl.training.losses import CONTRASTIVE, alike


@dataclass(frozen=True)
class Pooled:
    """Pooled states: `sentences` (B, H) and `words` (N, H), of the source and of the target side."""

    sentences: tuple[Tensor, Tensor]
    words: tuple[Tensor, Tensor]


class Joint(nn.Module):
    """The paper's CCE: one term on [sentence ; word]. Each couple is a sample of its own."""

    def __init__(self, settings: Train, hidden: int) -> None:
        super().__init__()
        self.projection = Projection(2 * hidden)
        self._loss, self._temperature = CONTRASTIVE[settings.loss], settings.temperature

    def forward(self, pooled: Pooled, batch: Batch) -> Tensor:
        """Return the contrastive loss."""
        x, y = (self.projection(self._sample(pooled, batch, side)) for side in range(2))
        return self._loss(x, y, self._temperature, _alike_words(batch))

    def _sample(self, pooled: Pooled, batch: Batch, side: int) -> Tensor:
        return torch.cat([pooled.sentences[side].index_select(0, batch.couple_rows), pooled.words[side]], dim=1)


class Sentence(nn.Module):
    """The paper's ablation ("snt"): one term on the sentence alone."""

    def __init__(self, settings: Train, hidden: int) -> None:
        super().__init__()
        self.projection = Projection(hidden)
        self._loss, self._temperature = CONTRASTIVE[settings.loss], settings.temperature

    def forward(self, pooled: Pooled, batch: Batch) -> Tensor:
        """Return the contrastive loss."""
        x, y = (self.projection(side) for side in pooled.sentences)
        return self._loss(x, y, self._temperature, alike(batch.identities))


class Separate(nn.Module):
    """Our own: a sentence term and a word term, each with its own projection, so that neither pays for the other."""

    def __init__(self, settings: Train, hidden: int) -> None:
        super().__init__()
        self.sentence = Sentence(settings, hidden)
        self.projection = Projection(hidden)
        self._loss, self._temperature, self._weight = CONTRASTIVE[settings.loss], settings.temperature, settings.word_weight

    def forward(self, pooled: Pooled, batch: Batch) -> Tensor:
        """Return the sentence loss plus the weighted word loss."""
        x, y = (self.projection(side) for side in pooled.words)
        words: Tensor = self._loss(x, y, self._temperature, _alike_words(batch))
        sentences: Tensor = self.sentence(pooled, batch)
        return sentences + self._weight * words


WIRINGS: dict[str, type[Joint] | type[Sentence] | type[Separate]] = {
    "joint": Joint,
    "sentence": Sentence,
    "separate": Separate,
}


def _alike_words(batch: Batch) -> Tensor:
    source, target = batch.identities
    return alike((source[batch.couple_rows], target[batch.couple_rows]), batch.couple_spans)
