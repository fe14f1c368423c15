"""One step's input as tensors: the sequences of both sides, sorted by length and cut into micro-batches that are encoded at once.

Neither the order nor the cuts change the negatives. Symbols: B sentence pairs, N word pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlctl.config import ResolvedTrain
from mlctl.modeling.packing import Packing
from mlctl.modeling.pooling import Spans
from mlctl.training.counter_rng import Stream, bits, keys
from mlctl.training.dataset import Rows
from mlctl.training.distributed import SINGLE, ProcessGroup
from mlctl.training.masking import MaskingRule, mask_keys, mask_tokens
from mlctl.training.micro_batching import tokens_on_cpu
from mlctl.training.ragged_array import RaggedArray
from mlctl.training.translation_lm import MaskedSequences, TranslationLm


@dataclass(frozen=True)
class MicroBatch:
    """Sequences of either side, of similar length, that are encoded at once: T tokens, packed.

    Attributes:
        packing: where the tokens of each sequence are.
        input_ids: (T,) token ids.
        words: the tokens of the words.
        masked_ids: (T,) ids with tokens masked; the same tensor as `input_ids` where nothing is masked.
        masked_positions: (m,) indices of the tokens to predict.
        labels: (m,) original ids of these tokens.
        token_type_ids: (T,) token types; None: all are 0.
    """

    packing: Packing
    input_ids: Tensor
    words: Spans
    masked_ids: Tensor
    masked_positions: Tensor
    labels: Tensor
    token_type_ids: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """What one step trains on.

    All 2B sequences (sources in the order of the rows, then targets) are sorted by length, shortest first, and their 2N words with
    them. Sorted positions are positions in that order.

    Attributes:
        micro_batches: the sequences, in sorted order, that this process encodes: all, or its share of a step of several processes.
        local_sequences: (s,) sorted positions of the sequences in the micro-batches.
        local_words: (w,) sorted positions of the words in the micro-batches.
        sequence_positions: (2B,) sorted position of each sequence: sources in the order of the rows, then targets.
        word_positions: (2N,) sorted position of each word: source words, then target words.
        word_pair_rows: (N,) the row of each word pair.
        word_pair_spans: (N, 2) spans of the source words, and (N, 2) of the target words.
        word_hashes: (N,) of the source words and (N,) of the target words; equal for equal subwords.
        identities: (B,) of the source side and (B,) of the target side.
        pairs: B.
        tokens: number of tokens of both sides, without padding.
        step: the step that trains on it, from 0.
        weights: (B,) weights of the rows' contrastive losses, with the mean 1; None: all are 1.
        tlm_micro_batches: with translation language modelling, what the masked-LM loss reads on this process in place of
            `micro_batches`: sentence pairs as one sequence, and sentences.
    """

    micro_batches: tuple[MicroBatch, ...]
    local_sequences: Tensor
    local_words: Tensor
    sequence_positions: Tensor
    word_positions: Tensor
    word_pair_rows: Tensor
    word_pair_spans: tuple[Tensor, Tensor]
    word_hashes: tuple[Tensor, Tensor]
    identities: tuple[Tensor, Tensor]
    pairs: int
    tokens: int
    step: int
    tlm_micro_batches: tuple[MicroBatch, ...] = ()
    weights: Tensor | None = None

    @property
    def masked_micro_batches(self) -> tuple[MicroBatch, ...]:
        """What the masked-LM loss reads on this process."""
        return self.tlm_micro_batches or self.micro_batches

    @property
    def word_pair_weights(self) -> Tensor | None:
        """The weights of the word pairs' contrastive losses, (N,): those of their rows; None: all are 1."""
        return None if self.weights is None else self.weights.index_select(0, self.word_pair_rows)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return self if device.type == "cpu" else _to_device(self, device)


class Collator:
    """Makes batches of rows and draws new word pairs and masks in each epoch.

    Args:
        settings: number of word pairs, and how a word is pooled.
        seed: seed of the draws.
        pad_id: id of the padding token.
        masking: how tokens are masked; None: not at all.
        group: the processes among which the sequences are distributed round-robin from the shortest on, so that all have about the
            same number of tokens.
        tlm: makes other sequences for the masked-LM loss; `masking` is None then.
        max_tokens: tokens of a micro-batch; None: as the settings say, for a CPU.
    """

    def __init__(
        self,
        settings: ResolvedTrain,
        seed: int,
        pad_id: int,
        masking: MaskingRule | None,
        group: ProcessGroup = SINGLE,
        tlm: TranslationLm | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self._word_pairs = 0 if settings.objective == "sentence" else settings.word_pairs
        self._first_subwords, self._seed, self._pad_id = settings.word_pooling == "first", seed, pad_id
        self._micro_batch_tokens, self._equal_counts = max_tokens or tokens_on_cpu(settings), settings.fsdp
        self._masking, self._group, self._tlm = masking, group, tlm

    def collate(self, rows: Rows, epoch: int, step: int = 0) -> Batch:
        """Return the batch of these rows when they are visited in this epoch and this step."""
        sequences = RaggedArray.concatenate(rows.token_ids)
        order = np.argsort(sequences.lengths, kind="stable")
        word_pair_rows, word_pair_spans = sample_word_pairs(rows, self._seed, epoch, self._word_pairs)
        spans, word_positions = _sorted_spans(word_pair_rows, word_pair_spans, _inverse(order))
        source_hashes, target_hashes = (
            _word_hashes(ids, word_pair_rows, word_pair_spans[:, 2 * side :][:, :2]) for side, ids in enumerate(rows.token_ids)
        )
        local_sequences = np.arange(self._group.rank, len(order), self._group.size)
        local_words = np.flatnonzero(spans[:, 0] % self._group.size == self._group.rank)
        local_spans = spans[local_words] // np.array([self._group.size, 1, 1])
        local_order = order[local_sequences]
        bounds = self._bounds(sequences.lengths[order])
        return Batch(
            micro_batches=self._micro_batches(
                sequences.take(local_order), mask_keys(self._seed, epoch, rows.row_ids)[local_order], local_spans, bounds
            ),
            local_sequences=torch.from_numpy(local_sequences),
            local_words=torch.from_numpy(local_words),
            sequence_positions=torch.from_numpy(_inverse(order)),
            word_positions=torch.from_numpy(word_positions),
            word_pair_rows=torch.from_numpy(word_pair_rows),
            word_pair_spans=(torch.from_numpy(word_pair_spans[:, :2]), torch.from_numpy(word_pair_spans[:, 2:])),
            word_hashes=(torch.from_numpy(source_hashes), torch.from_numpy(target_hashes)),
            identities=(torch.from_numpy(rows.identities[0]), torch.from_numpy(rows.identities[1])),
            pairs=len(rows.row_ids),
            tokens=int(sequences.lengths.sum()),
            step=step,
            tlm_micro_batches=self._tlm_micro_batches(rows, epoch),
            weights=None if rows.weights is None else torch.from_numpy((rows.weights / rows.weights.mean()).astype(np.float32)),
        )

    def _tlm_micro_batches(self, rows: Rows, epoch: int) -> tuple[MicroBatch, ...]:
        """Return what the masked-LM loss reads in place of the sentences."""
        if self._tlm is None:
            return ()
        sequences = self._tlm.masked_sequences(rows.row_ids, rows.token_ids, epoch, self._group)
        bounds = _bounds(sequences.attention_mask.sum(axis=1), self._micro_batch_tokens)
        return self._cut(sequences, np.zeros((0, 3), np.int64), bounds)

    def _bounds(self, lengths: NDArray[np.int64]) -> list[int]:
        """Return where this process cuts its share of all sequences, whose lengths are in sorted order."""
        rank, size = self._group.rank, self._group.size
        own = _bounds(lengths[rank::size], self._micro_batch_tokens)
        if size == 1 or not self._equal_counts:
            return own
        count = max(len(_bounds(lengths[other::size], self._micro_batch_tokens)) - 1 for other in range(size))
        return _equal_bounds(lengths[rank::size], min(count, len(lengths) // size))

    def _micro_batches(
        self, sequences: RaggedArray, row_keys: NDArray[np.uint64], spans: NDArray[np.int64], bounds: Sequence[int]
    ) -> tuple[MicroBatch, ...]:
        """Mask once, then cut; `sequences` and `spans` are in sorted order."""
        ids, attention_mask = sequences.to_padded(int(sequences.lengths[-1]), self._pad_id)
        masked_ids, is_masked = ids, np.zeros_like(attention_mask)
        if self._masking is not None:
            masked_ids, is_masked = mask_tokens(ids, attention_mask, row_keys, self._masking)
        return self._cut(MaskedSequences(ids, attention_mask, masked_ids, is_masked, None), spans, bounds)

    def _cut(self, sequences: MaskedSequences, spans: NDArray[np.int64], bounds: Sequence[int]) -> tuple[MicroBatch, ...]:
        """Cut sequences, and the words in them, (n, 3), into micro-batches."""
        cuts = np.searchsorted(spans[:, 0], bounds)
        if self._first_subwords:
            spans = np.column_stack([spans[:, :2], spans[:, 1] + 1])
        return tuple(
            _micro_batch(sequences, spans[first:last] - np.array([start, 0, 0]), slice(start, end))
            for (start, end), (first, last) in zip(pairwise(bounds), pairwise(cuts), strict=True)
        )


def sample_word_pairs(rows: Rows, seed: int, epoch: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row (N,) and the spans (N, 4) of `count` word pairs of each row, all where it has fewer, drawn anew in each epoch."""
    drawn = rows.word_pairs.sample(keys(seed, Stream.WORD_PAIRS, epoch, rows.row_ids), count)
    return rows.word_pairs.row_indices()[drawn], rows.word_pairs.values[drawn].astype(np.int64)


def _bounds(lengths: NDArray[np.int64], max_tokens: int) -> list[int]:
    """Return the first sequence of each micro-batch, and the number of all: as many sequences at once as have `max_tokens`, at least one."""
    bounds, tokens = [0], 0
    for index, length in enumerate(lengths.tolist()):
        tokens += length
        if tokens > max_tokens and index > bounds[-1]:
            bounds.append(index)
            tokens = length
    return [*bounds, len(lengths)]


def _equal_bounds(lengths: NDArray[np.int64], count: int) -> list[int]:
    """Return the bounds of so many micro-batches with about as many tokens each; processes that share weights encode equally often."""
    ends = np.searchsorted(np.cumsum(lengths), np.arange(1, count) * (lengths.sum() / count), side="right")
    earliest = np.arange(1, count)  # each has a sequence at least
    return [
        0,
        *np.clip(np.maximum.accumulate(ends - earliest) + earliest, earliest, len(lengths) - count + earliest).tolist(),
        len(lengths),
    ]


def _micro_batch(sequences: MaskedSequences, spans: NDArray[np.int64], rows: slice) -> MicroBatch:
    """Pack the rows of a micro-batch of padded arrays; `spans` (n, 3) are the words in them."""
    mask = sequences.attention_mask[rows]
    packing = Packing.of_lengths(mask.sum(axis=1))
    ids, masked_positions = sequences.ids[rows][mask], np.flatnonzero(sequences.is_masked[rows][mask])
    input_ids, types = torch.from_numpy(ids), sequences.token_types
    first_tokens = packing.offsets.numpy().astype(np.int64)[spans[:, 0]]
    return MicroBatch(
        packing=packing,
        input_ids=input_ids,
        words=Spans.of_ranges(first_tokens + spans[:, 1], first_tokens + spans[:, 2]),
        masked_ids=input_ids if sequences.masked_ids is sequences.ids else torch.from_numpy(sequences.masked_ids[rows][mask]),
        masked_positions=torch.from_numpy(masked_positions),
        labels=torch.from_numpy(ids[masked_positions]),
        token_type_ids=None if types is None else torch.from_numpy(types[rows][mask]),
    )


def _sorted_spans(
    word_pair_rows: NDArray[np.int64], word_pair_spans: NDArray[np.int64], sequence_positions: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the words of both sides (2N, 3), sorted by the position of their sequence, and the sorted position of each (2N,)."""
    pairs = len(sequence_positions) // 2
    positions = sequence_positions[np.concatenate([word_pair_rows, word_pair_rows + pairs])]
    spans = np.concatenate([word_pair_spans[:, :2], word_pair_spans[:, 2:]])
    order = np.argsort(positions, kind="stable")
    return np.column_stack([positions, spans])[order], _inverse(order)


def _word_hashes(token_ids: RaggedArray, rows: NDArray[np.int64], spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a hash of the subwords of each word (N,): the word at `spans` (N, 2) of row `rows` (N,)."""
    starts, lengths = token_ids.starts[rows] + spans[:, 0], spans[:, 1] - spans[:, 0]
    hashes = np.zeros(len(rows), np.uint64)
    for position in range(lengths.max(initial=0)):
        mask = lengths > position
        hashes[mask] = bits(hashes[mask], token_ids.values[starts[mask] + position].astype(np.int64))
    return hashes.view(np.int64)


def _inverse(order: NDArray[np.int64]) -> NDArray[np.int64]:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse


def _to_device(value: Any, device: torch.device) -> Any:
    """Move all tensors of a batch to a device, recursively: from pinned memory, so that the copy does not hold up the caller."""
    if isinstance(value, Tensor):
        return (value.pin_memory() if device.type == "cuda" else value).to(device, non_blocking=True)
    if isinstance(value, tuple):
        return tuple(_to_device(item, device) for item in value)
    if isinstance(value, (Batch, MicroBatch, Packing, Spans)):
        return replace(value, **{field.name: _to_device(getattr(value, field.name), device) for field in fields(value)})
    return value
