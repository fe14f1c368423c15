"""The contrastive objectives on pooled states: the paper's (joint), its ablation (sentence), words alone, and both apart (separate).

Symbols: B sentence pairs, N word pairs drawn from them, H size of the encoder's states and of words, O size of a sentence vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mlctl.config import ResolvedTrain
from mlctl.modeling.projection_head import ProjectionHead
from mlctl.training.collator import Batch
from mlctl.training.false_negatives import FalseNegatives
from mlctl.training.losses import CONTRASTIVE_LOSSES
from mlctl.training.temperature import Temperature


@dataclass(frozen=True)
class Pooled:
    """Pooled states: `sentences` (B, O) and `words` (N, H), of the source and of the target side."""

    sentences: tuple[Tensor, Tensor]
    words: tuple[Tensor, Tensor]


class JointObjective(nn.Module):
    """The paper's CCE: one loss on [sentence ; word], with each word pair as a sample."""

    def __init__(self, settings: ResolvedTrain, hidden: int, sentence_size: int) -> None:
        super().__init__()
        self.projection = _projection(settings, sentence_size + hidden)
        self.temperature = Temperature(settings, settings.temperature)
        self._loss, self._false_negatives = CONTRASTIVE_LOSSES[settings.loss], FalseNegatives(settings)

    def forward(self, pooled: Pooled, batch: Batch) -> Tensor:
        """Return the contrastive loss."""
        x, y = (
            self.projection(torch.cat([sentences.index_select(0, batch.word_pair_rows), words], dim=1))
            for sentences, words in zip(pooled.sentences, pooled.words, strict=True)
        )
        excluded = self._false_negatives.word_mask(pooled.sentences, batch)
        return self._loss(x, y, self.temperature(batch.step), excluded, batch.word_pair_weights)


class SentenceObjective(nn.Module):
    """The paper's ablation ("snt"): one loss on the sentence alone."""

    def __init__(self, settings: ResolvedTrain, hidden: int, sentence_size: int) -> None:
        super().__init__()
        del hidden
        self.projection = _projection(settings, sentence_size)
        self.temperature = Temperature(settings, settings.temperature)
        self._loss, self._false_negatives = CONTRASTIVE_LOSSES[settings.loss], FalseNegatives(settings)

    def forward(self, pooled: Pooled, batch: Batch) -> Tensor:
        """Return the contrastive loss."""
        x, y = (self.projection(sentences) for sentences in pooled.sentences)
        excluded = self._false_negatives.sentence_mask(pooled.sentences, batch)
        return self._loss(x, y, self.temperature(batch.step), excluded, batch.weights)


class WordsObjective(nn.Module):
    """One loss on the words of all sentences: word realignment (arXiv 2306.02790) where nothing is projected."""

    def __init__(self, settings: ResolvedTrain, hidden: int, sentence_size: int) -> None:
        super().__init__()
        del sentence_size
        self.projection = _projection(settings, hidden)
        self.temperature = Temperature(settings, settings.word_temperature or settings.temperature)
        loss = settings.loss if settings.word_loss == "same" else settings.word_loss
        self._loss, self._false_negatives = CONTRASTIVE_LOSSES[loss], FalseNegatives(settings)

    def forward(self, pooled: Pooled, batch: Batch) -> Tensor:
        """Return the contrastive loss."""
        x, y = (self.projection(words) for words in pooled.words)
        excluded = self._false_negatives.word_mask(pooled.sentences, batch)
        return self._loss(x, y, self.temperature(batch.step), excluded, batch.word_pair_weights)


class SeparateObjective(nn.Module):
    """A sentence loss and a word loss, each with its own projection, so that they do not compete for one."""

    def __init__(self, settings: ResolvedTrain, hidden: int, sentence_size: int) -> None:
        super().__init__()
        self.sentence = SentenceObjective(settings, hidden, sentence_size)
        self.words = WordsObjective(settings, hidden, sentence_size)
        self._word_weight = settings.word_weight

    def forward(self, pooled: Pooled, batch: Batch) -> Tensor:
        """Return the sentence loss plus the weighted word loss."""
        sentence_loss: Tensor = self.sentence(pooled, batch)
        word_loss: Tensor = self.words(pooled, batch)
        return sentence_loss + self._word_weight * word_loss


ContrastiveObjective = JointObjective | SentenceObjective | WordsObjective | SeparateObjective

#: The objectives by the value of the setting `train.objective`.
CONTRASTIVE_OBJECTIVES: dict[str, type[ContrastiveObjective]] = {
    "joint": JointObjective,
    "sentence": SentenceObjective,
    "words": WordsObjective,
    "separate": SeparateObjective,
}


def _projection(settings: ResolvedTrain, size: int) -> nn.Module:
    """Return the projection head of vectors of a size, or the identity: then the loss compares the encoder's states themselves."""
    if settings.projection == "none":
        return nn.Identity()
    return ProjectionHead(size)
