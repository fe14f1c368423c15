"""The training objective: from a batch to its losses, L = L_contrastive + α · L_MLM (arXiv 2202.13083), and an optional anchor loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlctl.config import ResolvedTrain
from mlctl.errors import InputError
from mlctl.modeling.activation_checkpointing import checkpoint_activations
from mlctl.modeling.compilation import compile_layers
from mlctl.modeling.encoders import max_positions, seeded
from mlctl.modeling.freezing import freeze
from mlctl.modeling.fully_sharded import is_sharded, shard_weights
from mlctl.modeling.lora import add_lora
from mlctl.modeling.masked_lm import MaskedLmHead
from mlctl.modeling.packing import enable_packing, encode_packed
from mlctl.modeling.pooling import full_precision, layer_numbers, pool_layers, pool_tokens
from mlctl.modeling.sentence_config import Pooling
from mlctl.training.anchor_loss import AnchorEncoder, anchored, distance_sum
from mlctl.training.collator import Batch, MicroBatch
from mlctl.training.contrastive_objectives import CONTRASTIVE_OBJECTIVES, Pooled
from mlctl.training.distributed import SINGLE, ProcessGroup
from mlctl.training.precision import autocast


class Losses(NamedTuple):
    """Scalars of one batch; `mlm` and `anchor`, the weighted sum of the anchor losses, are None where they are switched off."""

    total: Tensor
    contrastive: Tensor
    mlm: Tensor | None = None
    anchor: Tensor | None = None


class Encoded(NamedTuple):
    """A micro-batch encoded and pooled: `sentences` (b, O), `words` (n, H), and states of the masked tokens `masked` (m, H).

    `masked` is empty unless the contrastive pass sees masked tokens.
    """

    sentences: Tensor
    words: Tensor
    masked: Tensor


class Objective(nn.Module):
    """A masked-language model with projection heads on top, and its losses.

    The contrastive loss sees the clean tokens, and the masked-LM loss a second encoder pass over masked ones, unless
    `settings.contrast_on_masked` lets one pass serve both.

    Args:
        model: a Hugging Face masked-language model whose encoder is trained, or without masked-LM loss an encoder.
        settings: losses, objective, weights, precision.
        seed: seed of the projection heads.
        pooling: how sentence vectors (of size O) are made, words of the same layers; None: the mean over tokens of `settings.layers`, of the
            first and the last layer for `auto`.
        modules: the modules of the pooling, frozen; None: it has none.
    """

    def __init__(
        self, model: Any, settings: ResolvedTrain, seed: int, pooling: Pooling | None = None, modules: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.model = model
        layers, hidden = "first-and-last" if settings.layers == "auto" else settings.layers, model.config.hidden_size
        self._pooling = pooling or Pooling(layer_numbers(layers, model.config.num_hidden_layers))
        self.sentence_modules = modules or nn.Identity()
        with seeded(seed):
            self.contrastive = CONTRASTIVE_OBJECTIVES[settings.objective](settings, hidden, self._pooling.vector_size(hidden))
        enable_packing(model)
        self.anchor = AnchorEncoder(model) if settings.anchor_weight or settings.word_anchor_weight else None
        if settings.lora_rank:
            with seeded(seed):
                add_lora(model, settings.lora_rank)
        freeze(model, settings.frozen_layers, settings.frozen_embeddings)
        if settings.activation_checkpointing:
            checkpoint_activations(model)
        if settings.compile:
            compile_layers(model)
        self.settings = settings
        self._word_layers = self._pooling.layers
        self._word_weights = self._pooling.weights
        if settings.word_layers != "same":
            self._word_layers, self._word_weights = layer_numbers(settings.word_layers, model.config.num_hidden_layers), ()
        self._mlm_head = MaskedLmHead(model) if settings.mlm_weight else None
        self._max_positions = max_positions(model)

    def shard(self, device: torch.device) -> None:
        """Shard the encoder, and that of the anchors, over all processes, which call this together before they train."""
        shard_weights(self.model.base_model, device)
        if self.anchor is not None:
            shard_weights(self.anchor.encoder, device)

    def forward(self, batch: Batch, group: ProcessGroup = SINGLE) -> Losses:
        """Return the losses of a batch, equal on every process; their gradients are those of this process's sentences.

        Raises:
            InputError: a sequence is longer than the encoder's positions.
        """
        self.check_length(batch)
        micro_batches = batch.micro_batches

        # Embed, encode and pool the sequences of this process.
        embeddings = self._embed([self._contrastive_ids(micro_batch) for micro_batch in micro_batches])
        encoded = [self.encode(micro_batch, embedded) for micro_batch, embedded in zip(micro_batches, embeddings, strict=True)]

        # Gather the vectors of all processes and score them against each other.
        contrastive, anchor = self.score(encoded, batch, group)
        if not self.has_mlm:
            return self.weighted(contrastive, None, anchor)

        # Predict the masked tokens.
        masked_states = [item.masked for item in encoded]
        if not self.settings.contrast_on_masked:
            embeddings = self._embed([micro_batch.masked_ids for micro_batch in batch.masked_micro_batches])
            masked_states = [self.encode_masked(*item) for item in zip(batch.masked_micro_batches, embeddings, strict=True)]
        labels = torch.cat([micro_batch.labels for micro_batch in batch.masked_micro_batches])
        mlm_sum = self.mlm_loss(torch.cat(masked_states), labels)
        return self.weighted(contrastive, group.all_sum(mlm_sum / group.global_count(len(labels), labels)), anchor)

    def encode(self, micro_batch: MicroBatch, embeddings: Tensor | None = None) -> Encoded:
        """Encode and pool the sequences that the contrastive loss sees; `embeddings` (T, H) of their tokens if looked up before."""
        with autocast(self.settings, micro_batch.input_ids.device):
            token_ids = self._contrastive_ids(micro_batch)
            hidden_states = encode_packed(self.model.base_model, token_ids, micro_batch.packing, embeddings)
        sentences, words = self._pool(hidden_states, micro_batch)
        positions = micro_batch.masked_positions if self.settings.contrast_on_masked else micro_batch.masked_positions[:0]
        return Encoded(sentences, words, masked=hidden_states[-1].index_select(0, positions))

    def score(self, encoded: Sequence[Encoded], batch: Batch, group: ProcessGroup) -> tuple[Tensor, Tensor | None]:
        """Return the contrastive loss and the weighted anchor losses over all processes; `encoded` are the micro-batches of this one."""
        sentences = group.all_gather(torch.cat([item.sentences for item in encoded]), batch.local_sequences, 2 * batch.pairs)
        words = group.all_gather(torch.cat([item.words for item in encoded]), batch.local_words, len(batch.word_positions))
        # From the order of length to the order of the rows, sources before targets.
        source_sentences, target_sentences = sentences.index_select(0, batch.sequence_positions).chunk(2)
        ordered_words, pairs = words.index_select(0, batch.word_positions), len(batch.word_pair_rows)
        pooled = Pooled((source_sentences, target_sentences), (ordered_words[:pairs], ordered_words[pairs:]))
        contrastive: Tensor = self.contrastive(pooled, batch)
        return contrastive, None if self.anchor is None else self._anchor_losses(encoded, batch, group)

    def encode_masked(self, micro_batch: MicroBatch, embeddings: Tensor | None = None) -> Tensor:
        """Encode the masked sequences of a micro-batch and return the last-layer states (m, H) of the masked tokens."""
        with autocast(self.settings, micro_batch.input_ids.device):
            hidden_states = encode_packed(
                self.model.base_model, micro_batch.masked_ids, micro_batch.packing, embeddings, micro_batch.token_type_ids
            )
        return hidden_states[-1].index_select(0, micro_batch.masked_positions)

    def mlm_loss(self, states: Tensor, labels: Tensor) -> Tensor:
        """Return the masked-LM loss, summed over tokens, for their states (m, H) and original ids (m,)."""
        head = cast(MaskedLmHead, self._mlm_head)
        with autocast(self.settings, states.device):
            logits = head(states)
        return functional.cross_entropy(full_precision(logits), labels, reduction="sum")

    def weighted(self, contrastive: Tensor, mlm: Tensor | None, anchor: Tensor | None) -> Losses:
        """Return the losses with their weighted sum."""
        total = contrastive if mlm is None else contrastive + self.settings.mlm_weight * mlm
        return Losses(total if anchor is None else total + anchor, contrastive, mlm, anchor)

    @property
    def has_mlm(self) -> bool:
        """Whether there is a masked-LM loss."""
        return self._mlm_head is not None

    def check_length(self, batch: Batch) -> None:
        """Raise an InputError if the longest sequence of a batch is longer than the encoder's positions."""
        longest = batch.micro_batches[-1].packing.longest
        if longest > self._max_positions:
            raise InputError(
                f"a training row has {longest} subwords, but the encoder has room for {self._max_positions}",
                f"set shard.max_length to at most {self._max_positions}",
            )

    def _anchor_losses(self, encoded: Sequence[Encoded], batch: Batch, group: ProcessGroup) -> Tensor:
        """Return the weighted mean squared distances of sentences and words, of all processes, to those of the encoder before training.

        That encoder sees the clean tokens, without dropout.
        """
        sentences, words = zip(*map(self._anchor_vectors, batch.micro_batches), strict=True)
        held = anchored(batch, self.settings.anchor_side)
        sentence_distance = distance_sum(torch.cat([item.sentences for item in encoded]), torch.cat(sentences), held.sentences)
        word_distance = distance_sum(torch.cat([item.words for item in encoded]), torch.cat(words), held.words)
        return group.all_sum(
            self.settings.anchor_weight * sentence_distance / held.all_sentences
            + self.settings.word_anchor_weight * word_distance / max(held.all_words, 1)
        )

    @torch.no_grad()
    def _anchor_vectors(self, micro_batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """Return the sentence and the word vectors of the encoder before training."""
        encoder = cast(AnchorEncoder, self.anchor).encoder
        with autocast(self.settings, micro_batch.input_ids.device):
            hidden_states = encode_packed(encoder, micro_batch.input_ids, micro_batch.packing)
        return self._pool(hidden_states, micro_batch)

    def _pool(self, hidden_states: Sequence[Tensor], micro_batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """Return the sentence vectors (b, O) and the word vectors (n, H) of a micro-batch."""
        packing = micro_batch.packing
        states = pool_layers(hidden_states, self._pooling.layers, self._pooling.weights)
        sentences = self.sentence_modules(pool_tokens(packing.pad(states), packing.mask, self._pooling.tokens))
        if (self._word_layers, self._word_weights) != (self._pooling.layers, self._pooling.weights):
            states = pool_layers(hidden_states, self._word_layers, self._word_weights)
        return sentences, micro_batch.words.mean(states)

    def _contrastive_ids(self, micro_batch: MicroBatch) -> Tensor:
        return micro_batch.masked_ids if self.settings.contrast_on_masked else micro_batch.input_ids

    def _embed(self, token_ids: Sequence[Tensor]) -> Sequence[Tensor | None]:
        """Return the embeddings (T, H) of token ids (T,) from one look-up: each look-up has a gradient of the table's size.

        None each where the table is sharded: the encoder looks them up, as it gathers its weights.
        """
        table = self.model.get_input_embeddings()
        if is_sharded(table.weight):
            return [None] * len(token_ids)
        return torch.split_with_sizes(table(torch.cat(list(token_ids))), [len(ids) for ids in token_ids])
