"""The training objective: from a batch to its losses, L = L_contrastive + α · L_MLM (arXiv 2202.13083)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlctl.config import Train
from mlctl.errors import InputError
from mlctl.modeling.encoders import longest_input, seeded
from mlctl.modeling.masked_lm import MaskedLmHead
from mlctl.modeling.pooling import full_precision, layer_states, mean_spans, mean_tokens
from mlctl.training.batch import Batch, Chunk
from mlctl.training.wirings import WIRINGS, Pooled


class Losses(NamedTuple):
    """Scalars of one batch; `mlm` is None where it is switched off."""

    total: Tensor
    contrastive: Tensor
    mlm: Tensor | None


class Objective(nn.Module):
    """A masked-language model with projections on top, and how they learn.

    The contrast sees the clean tokens and the masked-LM loss a second pass with masked ones, unless
    `settings.contrast_on_masked` lets one pass serve both.

    Args:
        model: a Hugging Face masked-language model; its encoder is what training is for.
        settings: losses, wiring, weights, precision.
        seed: seed of the projections.
    """

    def __init__(self, model: Any, settings: Train, seed: int) -> None:
        super().__init__()
        self.model = model
        with seeded(seed):
            self.wiring = WIRINGS[settings.wiring](settings, model.config.hidden_size)
        self._settings = settings
        self._head = MaskedLmHead(model) if settings.mlm_weight else None
        self._longest = longest_input(model)

    def forward(self, batch: Batch) -> Losses:
        """Return the losses of a batch.

        Raises:
            InputError: a sequence is longer than the encoder's positions.
        """
        self._check_length(batch)
        pooled, predicted = self._contrast_pass(batch)
        contrastive: Tensor = self.wiring(pooled, batch)
        if self._head is None:
            return Losses(contrastive, contrastive, None)
        mlm = self._masked_lm_loss(self._head, predicted or self._masked_pass(batch), batch)
        return Losses(contrastive + self._settings.mlm_weight * mlm, contrastive, mlm)

    def _contrast_pass(self, batch: Batch) -> tuple[Pooled, list[Tensor]]:
        """Encode what the contrast sees; where that is masked, return the states (m, H) of the masked tokens too."""
        sentences, words, predicted = [], [], []
        for chunk in batch.chunks:
            with self._autocast(chunk):
                ids = chunk.masked_ids if self._settings.contrast_on_masked else chunk.ids
                states = layer_states(self.model.base_model, ids, chunk.there)
            sentences.append(mean_tokens(states.pooled, chunk.there))
            words.append(mean_spans(states.pooled, *chunk.spans.unbind(1)))
            if self._settings.contrast_on_masked:
                predicted.append(_at(states.last, chunk.predicted))
        return _restored(sentences, words, batch), predicted

    def _masked_pass(self, batch: Batch) -> list[Tensor]:
        """Encode the masked sequences and return the states (m, H) of the masked tokens, chunk by chunk."""
        predicted = []
        for chunk in batch.chunks:
            with self._autocast(chunk):
                output = self.model.base_model(input_ids=chunk.masked_ids, attention_mask=chunk.there)
            predicted.append(_at(output.last_hidden_state, chunk.predicted))
        return predicted

    def _masked_lm_loss(self, head: MaskedLmHead, predicted: Sequence[Tensor], batch: Batch) -> Tensor:
        """Return the mean over all masked tokens of both sides; 0 where there is none."""
        labels = torch.cat([chunk.labels for chunk in batch.chunks])
        with self._autocast(batch.chunks[0]):
            logits = head(torch.cat(list(predicted)))
        return functional.cross_entropy(full_precision(logits), labels, reduction="sum") / max(len(labels), 1)

    def _autocast(self, chunk: Chunk) -> torch.autocast:
        return torch.autocast(chunk.ids.device.type, torch.bfloat16, enabled=self._settings.precision == "bf16")

    def _check_length(self, batch: Batch) -> None:
        longest = batch.chunks[-1].ids.shape[1]
        if longest > self._longest:
            raise InputError(
                f"a training row has {longest} subwords, but the encoder has room for {self._longest}",
                f"set shard.max_length to at most {self._longest}",
            )


def _at(states: Tensor, places: Tensor) -> Tensor:
    return states.flatten(0, 1).index_select(0, places)


def _restored(sentences: list[Tensor], words: list[Tensor], batch: Batch) -> Pooled:
    """Put the chunks' vectors back in the order of the batch and part the sides."""
    both = torch.cat(sentences).index_select(0, batch.sequence_places)
    both_words = torch.cat(words).index_select(0, batch.span_places)
    source, target = both.chunk(2)
    half = len(batch.couple_rows)
    return Pooled((source, target), (both_words[:half], both_words[half:]))
