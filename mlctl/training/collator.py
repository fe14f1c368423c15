"""One step's input as tensors: sequences of both sides sorted by length and cut into chunks that are encoded at once.

Sorting inside the batch saves padding and leaves the negatives as they are. Symbols: B sentence pairs, N word pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlctl.config import Train
from mlctl.training.counter_rng import Purpose, bits, keys
from mlctl.training.dataset import Rows
from mlctl.training.distributed import ALONE, Team
from mlctl.training.masking import MaskingRule, mask_tokens
from mlctl.training.ragged_array import Ragged


@dataclass(frozen=True)
class Chunk:
    """Some sequences of either side, of about one length.

    Attributes:
        ids: (b, T) token ids.
        there: (b, T) true where there is a token.
        spans: (n, 3) words: sequence in the chunk, start, end.
        masked_ids: (b, T) ids with tokens masked; the same tensor as `ids` where nothing is masked.
        predicted: (m,) places of the tokens to predict, counted through (b, T).
        labels: (m,) what stood there.
    """

    ids: Tensor
    there: Tensor
    spans: Tensor
    masked_ids: Tensor
    predicted: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    All 2B sequences, sources in the order of the rows and then targets, are put in an order: shortest first. So are their words.

    Attributes:
        chunks: the sequences, in that order, that this process encodes: all, or its share where several take the step together.
        mine: (s,) places in the order of the sequences in the chunks, and (w,) of the words in the chunks.
        sequence_places: (2B,) where in the order each sequence is: sources in the order of the rows, then targets.
        span_places: (2N,) where in the order each word is: source words, then target words.
        word_pair_rows: (N,) which pair each word pair is of.
        word_pair_spans: (N, 2) spans of the source words, and (N, 2) of the target words.
        word_pair_words: (N,) of the source words and (N,) of the target words: numbers that are equal for equal subwords.
        identities: (B,) of the source side and (B,) of the target side.
        pairs: B.
        tokens: how many tokens both sides have, without padding.
        step: the step that learns from it, from 0.
    """

    chunks: tuple[Chunk, ...]
    mine: tuple[Tensor, Tensor]
    sequence_places: Tensor
    span_places: Tensor
    word_pair_rows: Tensor
    word_pair_spans: tuple[Tensor, Tensor]
    word_pair_words: tuple[Tensor, Tensor]
    identities: tuple[Tensor, Tensor]
    pairs: int
    tokens: int
    step: int

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return self if device.type == "cpu" else _moved(self, device)


class Collator:
    """Makes batches of rows, drawing word pairs and masks anew in each epoch.

    Args:
        settings: how many word pairs, how many sequences a chunk.
        seed: seed of the draws.
        pad_id: id of the padding token.
        rule: how tokens are masked; None: not at all.
        team: with whom the sequences are shared out, one by one from the shortest on, so that all have about as much to do.
    """

    def __init__(self, settings: Train, seed: int, pad_id: int, rule: MaskingRule | None, team: Team = ALONE) -> None:
        self._word_pairs = 0 if settings.objective == "sentence" else settings.word_pairs
        self._chunk_rows, self._seed, self._pad_id, self._rule = settings.micro_batch_size, seed, pad_id, rule
        self._team = team

    def collate(self, rows: Rows, epoch: int, step: int = 0) -> Batch:
        """Return the batch of these rows when they are visited in this epoch and this step."""
        sequences = Ragged.concatenated(rows.tokens)
        order = np.argsort(sequences.lengths, kind="stable")
        word_pair_rows, word_pair_spans = self._draw_word_pairs(rows, epoch)
        spans, span_places = _sorted_spans(word_pair_rows, word_pair_spans, _inverse(order))
        forms = [_forms(side, word_pair_rows, word_pair_spans[:, 2 * number :][:, :2]) for number, side in enumerate(rows.tokens)]
        mine = np.arange(self._team.rank, len(order), self._team.size)
        my_words = np.flatnonzero(spans[:, 0] % self._team.size == self._team.rank)
        my_spans = spans[my_words] // np.array([self._team.size, 1, 1])
        return Batch(
            chunks=self._chunks(sequences.take(order[mine]), self._mask_keys(rows, epoch)[order[mine]], my_spans),
            mine=(torch.from_numpy(mine), torch.from_numpy(my_words)),
            sequence_places=torch.from_numpy(_inverse(order)),
            span_places=torch.from_numpy(span_places),
            word_pair_rows=torch.from_numpy(word_pair_rows),
            word_pair_spans=(torch.from_numpy(word_pair_spans[:, :2]), torch.from_numpy(word_pair_spans[:, 2:])),
            word_pair_words=(torch.from_numpy(forms[0]), torch.from_numpy(forms[1])),
            identities=(torch.from_numpy(rows.identities[0]), torch.from_numpy(rows.identities[1])),
            pairs=len(rows.numbers),
            tokens=int(sequences.lengths.sum()),
            step=step,
        )

    def _draw_word_pairs(self, rows: Rows, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        drawn = rows.word_pairs.draw(keys(self._seed, Purpose.WORD_PAIRS, epoch, rows.numbers), self._word_pairs)
        return rows.word_pairs.owners()[drawn], rows.word_pairs.values[drawn].astype(np.int64)

    def _mask_keys(self, rows: Rows, epoch: int) -> NDArray[np.uint64]:
        sides = (Purpose.SOURCE_MASK, Purpose.TARGET_MASK)
        return np.concatenate([keys(self._seed, side, epoch, rows.numbers) for side in sides])

    def _chunks(self, sequences: Ragged, mask_keys: NDArray[np.uint64], spans: NDArray[np.int64]) -> tuple[Chunk, ...]:
        """Pad once, mask once, and cut; `sequences` and `spans` are in the order of length."""
        ids, there = sequences.padded(int(sequences.lengths[-1]), self._pad_id)
        masked, chosen = (ids, np.zeros_like(there)) if self._rule is None else mask_tokens(ids, there, mask_keys, self._rule)
        begins = range(0, len(ids), self._chunk_rows)
        cuts = np.searchsorted(spans[:, 0], [*begins, len(ids)])
        return tuple(
            _chunk(ids, there, masked, chosen, spans[cut:end], slice(begin, begin + self._chunk_rows))
            for begin, (cut, end) in zip(begins, pairwise(cuts), strict=True)
        )


def _chunk(
    ids: NDArray[np.int64],
    there: NDArray[np.bool_],
    masked: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    spans: NDArray[np.int64],
    rows: slice,
) -> Chunk:
    """Cut the rows of a chunk out of padded arrays, without the columns that are padding in all of them."""
    block = (rows, slice(0, int(there[rows].sum(axis=1).max())))
    here, places = torch.from_numpy(ids[block]), np.flatnonzero(chosen[block])
    return Chunk(
        ids=here,
        there=torch.from_numpy(there[block]),
        spans=torch.from_numpy(spans - [rows.start, 0, 0]),
        masked_ids=here if masked is ids else torch.from_numpy(masked[block]),
        predicted=torch.from_numpy(places),
        labels=torch.from_numpy(ids[block].reshape(-1)[places]),
    )


def _sorted_spans(
    word_pair_rows: NDArray[np.int64], word_pair_spans: NDArray[np.int64], sequence_places: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the words of both sides as (2N, 3), by the place of their sequence, and where each word pair's words went."""
    pairs = len(sequence_places) // 2
    place = sequence_places[np.concatenate([word_pair_rows, word_pair_rows + pairs])]
    spans = np.concatenate([word_pair_spans[:, :2], word_pair_spans[:, 2:]])
    order = np.argsort(place, kind="stable")
    return np.column_stack([place, spans])[order], _inverse(order)


def _forms(tokens: Ragged, rows: NDArray[np.int64], spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number for each word (N,), equal for words of equal subwords: `rows` (N,) and `spans` (N, 2) say where they are."""
    starts, lengths = tokens.starts[rows] + spans[:, 0], spans[:, 1] - spans[:, 0]
    forms = np.zeros(len(rows), np.uint64)
    for place in range(lengths.max(initial=0)):
        there = lengths > place
        forms[there] = bits(forms[there], tokens.values[starts[there] + place].astype(np.int64))
    return forms.view(np.int64)


def _inverse(order: NDArray[np.int64]) -> NDArray[np.int64]:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse


def _moved(value: Any, device: torch.device) -> Any:
    """Move the tensors of a batch, however deep they lie in it."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, tuple):
        return tuple(_moved(item, device) for item in value)
    if isinstance(value, (Batch, Chunk)):
        return replace(value, **{field.name: _moved(getattr(value, field.name), device) for field in fields(value)})
    return value
