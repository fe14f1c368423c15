"""The training objective: from a batch to its losses, L = L_contrastive + α · L_MLM (arXiv 2202.13083), and where wanted an anchor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlctl.config import Train
from mlctl.errors import InputError
from mlctl.modeling.encoders import longest_input, seeded
from mlctl.modeling.masked_lm import MaskedLmHead
from mlctl.modeling.pooling import full_precision, layer_states, mean_spans, mean_tokens, places_of
from mlctl.training.anchor_loss import Anchor, distance
from mlctl.training.collator import Batch, Chunk
from mlctl.training.contrastive_objectives import WIRINGS, Pooled
from mlctl.training.distributed import ALONE, Team


class Losses(NamedTuple):
    """Scalars of one batch; `mlm` and `anchor` are None where they are switched off."""

    total: Tensor
    contrastive: Tensor
    mlm: Tensor | None = None
    anchor: Tensor | None = None


class Encoded(NamedTuple):
    """Of a chunk: `sentences` (b, H), `words` (n, H), and states of the masked tokens `predicted` (m, H).

    `predicted` is empty unless the contrast sees masked tokens.
    """

    sentences: Tensor
    words: Tensor
    predicted: Tensor


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
            self.wiring = WIRINGS[settings.objective](settings, model.config.hidden_size)
        self.anchor = Anchor(model) if settings.anchor_weight else None
        self._places = places_of(settings.layers, model.config.num_hidden_layers)
        self._settings = settings
        self._head = MaskedLmHead(model) if settings.mlm_weight else None
        self._longest = longest_input(model)

    def forward(self, batch: Batch, team: Team = ALONE) -> Losses:
        """Return the losses of a batch, the same on every process; their gradients are those of this one's sentences.

        Raises:
            InputError: a sequence is longer than the encoder's positions.
        """
        self.check_length(batch)
        seen = self._embedded([self._seen(chunk) for chunk in batch.chunks])
        encoded = [self.encode(chunk, tokens) for chunk, tokens in zip(batch.chunks, seen, strict=True)]
        contrastive = self.contrast(encoded, batch, team)
        anchor = self.drift(encoded, batch, team)
        if not self.predicts:
            return self.losses(contrastive, None, anchor)
        predicted = [one.predicted for one in encoded]
        if not self.in_one_pass:
            masked = self._embedded([chunk.masked_ids for chunk in batch.chunks])
            predicted = [self.predict(chunk, tokens) for chunk, tokens in zip(batch.chunks, masked, strict=True)]
        labels = torch.cat([chunk.labels for chunk in batch.chunks])
        mlm = team.summed(self.masked_lm(torch.cat(predicted), labels) / team.count(len(labels), labels))
        return self.losses(contrastive, mlm, anchor)

    def losses(self, contrastive: Tensor, mlm: Tensor | None, anchor: Tensor | None) -> Losses:
        """Return the losses with their weighted sum."""
        total = contrastive if mlm is None else contrastive + self.mlm_weight * mlm
        return Losses(total if anchor is None else total + self.anchor_weight * anchor, contrastive, mlm, anchor)

    @property
    def predicts(self) -> bool:
        """Tell whether there is a masked-LM loss."""
        return self._head is not None

    @property
    def in_one_pass(self) -> bool:
        """Tell whether `encode` gives all that the masked-LM loss needs, so that `predict` has nothing to do."""
        return self._settings.contrast_on_masked

    @property
    def mlm_weight(self) -> float:
        """α."""
        return self._settings.mlm_weight

    @property
    def anchor_weight(self) -> float:
        """Weight of the distance to the encoder before training."""
        return self._settings.anchor_weight

    def encode(self, chunk: Chunk, embedded: Tensor | None = None) -> Encoded:
        """Encode what the contrast sees of a chunk; `embedded` (b, T, H) where it has been looked up."""
        with self._autocast(chunk):
            states = layer_states(self.model.base_model, self._seen(chunk), chunk.there, self._places, embedded)
        return Encoded(
            mean_tokens(states.pooled, chunk.there),
            mean_spans(states.pooled, *chunk.spans.unbind(1)),
            _at(states.last, chunk.predicted if self.in_one_pass else chunk.predicted[:0]),
        )

    def predict(self, chunk: Chunk, embedded: Tensor | None = None) -> Tensor:
        """Encode the masked sequences of a chunk and return the states (m, H) of the masked tokens."""
        tokens = {"input_ids": chunk.masked_ids} if embedded is None else {"inputs_embeds": embedded}
        with self._autocast(chunk):
            output = self.model.base_model(**tokens, attention_mask=chunk.there)
        return _at(output.last_hidden_state, chunk.predicted)

    def contrast(self, encoded: Sequence[Encoded], batch: Batch, team: Team) -> Tensor:
        """Return the contrastive loss over all processes' chunks, of which `encoded` are this one's."""
        sentences = team.gathered(torch.cat([one.sentences for one in encoded]), batch.mine[0], 2 * batch.pairs)
        words = team.gathered(torch.cat([one.words for one in encoded]), batch.mine[1], len(batch.span_places))
        loss: Tensor = self.wiring(_restored(sentences, words, batch), batch)
        return loss

    def drift(self, encoded: Sequence[Encoded], batch: Batch, team: Team) -> Tensor | None:
        """Return how far the sentences of all processes are from what they were before training, on average; None: it is no matter.

        The encoder before training sees the clean tokens, without dropout.
        """
        if self.anchor is None:
            return None
        distances = [distance(one.sentences, self._before(chunk)) for one, chunk in zip(encoded, batch.chunks, strict=True)]
        return team.summed(torch.stack(distances).sum() / (2 * batch.pairs))

    def _before(self, chunk: Chunk) -> Tensor:
        with torch.no_grad(), self._autocast(chunk):
            states = layer_states(cast(Anchor, self.anchor).encoder, chunk.ids, chunk.there, self._places)
            return mean_tokens(states.pooled, chunk.there)

    def masked_lm(self, predicted: Tensor, labels: Tensor) -> Tensor:
        """Return the masked-LM loss, summed over tokens: states (m, H), what stood there (m,)."""
        head = cast(MaskedLmHead, self._head)
        with torch.autocast(predicted.device.type, torch.bfloat16, enabled=self._settings.precision == "bf16"):
            logits = head(predicted)
        return functional.cross_entropy(full_precision(logits), labels, reduction="sum")

    def check_length(self, batch: Batch) -> None:
        """Refuse a batch whose longest sequence is longer than the encoder's positions."""
        longest = batch.chunks[-1].ids.shape[1]
        if longest > self._longest:
            raise InputError(
                f"a training row has {longest} subwords, but the encoder has room for {self._longest}",
                f"set shard.max_length to at most {self._longest}",
            )

    def _seen(self, chunk: Chunk) -> Tensor:
        return chunk.masked_ids if self.in_one_pass else chunk.ids

    def _embedded(self, grids: Sequence[Tensor]) -> list[Tensor]:
        """Return the embeddings (b, T, H) of tokens (b, T), looked up at once: each look-up has a gradient of the table's size."""
        table = self.model.get_input_embeddings()
        flat = table(torch.cat([ids.flatten() for ids in grids])).split([ids.numel() for ids in grids])
        return [part.view(*ids.shape, -1) for part, ids in zip(flat, grids, strict=True)]

    def _autocast(self, chunk: Chunk) -> torch.autocast:
        return torch.autocast(chunk.ids.device.type, torch.bfloat16, enabled=self._settings.precision == "bf16")


def _at(states: Tensor, places: Tensor) -> Tensor:
    return states.flatten(0, 1).index_select(0, places)


def _restored(sentences: Tensor, words: Tensor, batch: Batch) -> Pooled:
    """Put the vectors back in the order of the batch and part the sides."""
    source, target = sentences.index_select(0, batch.sequence_places).chunk(2)
    both_words, half = words.index_select(0, batch.span_places), len(batch.word_pair_rows)
    return Pooled((source, target), (both_words[:half], both_words[half:]))
