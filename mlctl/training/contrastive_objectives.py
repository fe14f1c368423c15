"""How the pooled states of sentences and words become contrastive terms: the paper's wiring, its ablation, and our own.

Symbols: B sentence pairs, N word pairs drawn from them, H size of the encoder's states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mlctl.config import Train
from mlctl.modeling.projection_head import Projection
from mlctl.training.collator import Batch
from mlctl.training.losses import CONTRASTIVE
from mlctl.training.negatives import Negatives
from mlctl.training.temperature import Temperature


@dataclass(frozen=True)
class Pooled:
    """Pooled states: `sentences` (B, H) and `words` (N, H), of the source and of the target side."""

    sentences: tuple[Tensor, Tensor]
    words: tuple[Tensor, Tensor]


class Contrast(nn.Module):
    """A contrastive loss with its temperature."""

    def __init__(self, settings: Train, loss: Literal["cz-nce", "info-nce"], temperature: float) -> None:
        super().__init__()
        self._loss, self.temperature = CONTRASTIVE[loss], Temperature(settings, temperature)

    def forward(self, x: Tensor, y: Tensor, same: Tensor, step: int) -> Tensor:
        """Return the loss of embeddings x (N, D) and y (N, D); `same` (N, N) as in `losses.cz_nce`."""
        return self._loss(x, y, self.temperature(step), same)


class Joint(nn.Module):
    """The paper's CCE: one term on [sentence ; word]. Each word pair is a sample of its own."""

    def __init__(self, settings: Train, hidden: int) -> None:
        super().__init__()
        self.projection, self._negatives = Projection(2 * hidden), Negatives(settings)
        self.contrast = Contrast(settings, settings.loss, settings.temperature)

    def forward(self, pooled: Pooled, batch: Batch) -> Tensor:
        """Return the contrastive loss."""
        x, y = (self.projection(self._sample(pooled, batch, side)) for side in range(2))
        loss: Tensor = self.contrast(x, y, self._negatives.of_words(pooled.sentences, batch), batch.step)
        return loss

    def _sample(self, pooled: Pooled, batch: Batch, side: int) -> Tensor:
        return torch.cat([pooled.sentences[side].index_select(0, batch.word_pair_rows), pooled.words[side]], dim=1)


class Sentence(nn.Module):
    """The paper's ablation ("snt"): one term on the sentence alone."""

    def __init__(self, settings: Train, hidden: int) -> None:
        super().__init__()
        self.projection, self._negatives = Projection(hidden), Negatives(settings)
        self.contrast = Contrast(settings, settings.loss, settings.temperature)

    def forward(self, pooled: Pooled, batch: Batch) -> Tensor:
        """Return the contrastive loss."""
        x, y = (self.projection(side) for side in pooled.sentences)
        loss: Tensor = self.contrast(x, y, self._negatives.of_sentences(pooled.sentences, batch), batch.step)
        return loss


class Separate(nn.Module):
    """Our own: a sentence term and a word term, each with its own projection, so that neither pays for the other."""

    def __init__(self, settings: Train, hidden: int) -> None:
        super().__init__()
        self.sentence = Sentence(settings, hidden)
        self.projection, self._negatives = Projection(hidden), Negatives(settings)
        loss = settings.loss if settings.word_loss == "same" else settings.word_loss
        self.contrast = Contrast(settings, loss, settings.word_temperature or settings.temperature)
        self._weight = settings.word_weight

    def forward(self, pooled: Pooled, batch: Batch) -> Tensor:
        """Return the sentence loss plus the weighted word loss."""
        x, y = (self.projection(side) for side in pooled.words)
        words: Tensor = self.contrast(x, y, self._negatives.of_words(pooled.sentences, batch), batch.step)
        sentences: Tensor = self.sentence(pooled, batch)
        return sentences + self._weight * words


WIRINGS: dict[str, type[Joint] | type[Sentence] | type[Separate]] = {
    "joint": Joint,
    "sentence": Sentence,
    "separate": Separate,
}
