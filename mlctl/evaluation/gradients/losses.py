"""The losses whose gradients are compared: alignment of the held-out pairs, and a task on English examples.

Each is a mean over samples, yielded in parts that sum to it, so that memory holds the graph of one batch. Symbols: B sentences, N samples,
T length in subwords, H size of a state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mlctl.errors import InputError
from mlctl.evaluation.finetuning.features import IGNORED, Row, collate
from mlctl.evaluation.gradients.linear_head import LinearHead, fit_head
from mlctl.modeling.architectures import Head
from mlctl.modeling.pooling import encode_tokens, pad_batch, pool_layers, pool_states, span_pool
from mlctl.modeling.sentence_config import Pooling

if TYPE_CHECKING:
    from torch import nn

_BATCH_ROWS = 32
_WORD_TEMPERATURE = 0.1  # of word realignment (arXiv 2306.02790)
_SENTENCE_TEMPERATURE = 0.05  # of SimCSE (arXiv 2104.08821)


class AlignedPair(NamedTuple):
    """A sentence pair: the token ids of both sides, and the half-open subword ranges of its word pairs on both sides."""

    sides: tuple[Sequence[int], Sequence[int]]
    words: Sequence[tuple[tuple[int, int], tuple[int, int]]]


class SentenceVectors(NamedTuple):
    """How an encoder makes sentence vectors: pooling, its modules, and the id of the padding token."""

    pooling: Pooling
    modules: nn.Module | None
    pad_id: int


def word_losses(encoder: Any, pairs: Sequence[Sequence[AlignedPair]], how: SentenceVectors) -> Iterator[Tensor]:
    """Yield InfoNCE of the word pairs of each language among those of a batch; a word is the mean of its subwords' states."""
    total = sum(len(pair.words) for of_language in pairs for pair in of_language)
    for batch in _language_batches(pairs):
        sides = []
        for side in range(2):
            states, _ = _states(encoder, [pair.sides[side] for pair in batch], how)
            spans = [(row, *word[side]) for row, pair in enumerate(batch) for word in pair.words]
            sides.append(span_pool(states, np.array(spans, np.int64).reshape(-1, 3)))
        if len(sides[0]):
            yield _info_nce(sides[0], sides[1], _WORD_TEMPERATURE) / total


def sentence_losses(encoder: Any, pairs: Sequence[Sequence[AlignedPair]], how: SentenceVectors) -> Iterator[Tensor]:
    """Yield InfoNCE of the sentence pairs of each language among those of a batch."""
    total = sum(map(len, pairs))
    for batch in _language_batches(pairs):
        sides = [_states(encoder, [pair.sides[side] for pair in batch], how) for side in range(2)]
        source, target = (pool_states(states, mask, how.pooling, how.modules) for states, mask in sides)
        yield _info_nce(source, target, _SENTENCE_TEMPERATURE) / total


def task_losses(encoder: Any, rows: Sequence[Row], head_of: Head, pad_id: int, classes: int) -> Iterator[Tensor]:
    """Yield the cross entropy of a linear head on the last layer's states of the second half of the rows.

    The head is fitted to the first half, with the encoder as it is: the gradient is that of fine-tuning's first steps, not that of a
    random head.

    Raises:
        InputError: there are fewer than two rows.
    """
    if len(rows) < 2:
        raise InputError("a training set has fewer than two examples", "set evaluate.gradient_examples=0, or give it more")
    half = len(rows) // 2
    with torch.no_grad():
        parts = [_labelled(encoder, batch, head_of, pad_id) for batch in _batches(rows[:half])]
    head: LinearHead = fit_head(torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts]), classes)
    total = sum(sum(label != IGNORED for label in row.labels) for row in rows[half:])
    for batch in _batches(rows[half:]):
        yield head.loss(*_labelled(encoder, batch, head_of, pad_id)) / total


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), _BATCH_ROWS):
        yield items[first : first + _BATCH_ROWS]


def _language_batches(pairs: Sequence[Sequence[AlignedPair]]) -> Iterator[Sequence[AlignedPair]]:
    """Yield batches of one language each: pairs of two languages can have the same source words, which must not be negatives."""
    for of_language in pairs:
        yield from _batches(of_language)


def _states(encoder: Any, sentences: Sequence[Sequence[int]], how: SentenceVectors) -> tuple[Tensor, Tensor]:
    """Return the states (B, T, H) of the pooled layers, and the mask (B, T)."""
    ids, mask = pad_batch(sentences, how.pad_id, encoder.device)
    return encode_tokens(encoder, ids, mask, how.pooling.layers, how.pooling.weights), mask


def _labelled(encoder: Any, rows: Sequence[Row], head_of: Head, pad_id: int) -> tuple[Tensor, Tensor]:
    """Return the states (N, H) that have a label, and the labels (N,): of each tagged subword, or of the first token."""
    ids, mask, types, labels = (column.to(encoder.device) for column in collate(rows, pad_id, head_of))
    inputs = {"input_ids": ids, "attention_mask": mask}
    if getattr(encoder.config, "type_vocab_size", 0) > 1:  # BERT tells the sentences of a pair apart; others take no types
        inputs["token_type_ids"] = types
    output = encoder(**inputs, output_hidden_states=True)
    states = pool_layers(output.hidden_states, [-1])
    if head_of == "classifier":
        return states[:, 0], labels
    labelled = labels != IGNORED
    return states[labelled], labels[labelled]


def _info_nce(source: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Return InfoNCE of N pairs (N, H) with the other side's vectors as negatives, the mean of both directions, summed over pairs."""
    similarity = functional.normalize(source, dim=1) @ functional.normalize(target, dim=1).T / temperature
    positives = torch.arange(len(similarity), device=similarity.device)
    return (
        functional.cross_entropy(similarity, positives, reduction="sum")
        + functional.cross_entropy(similarity.T, positives, reduction="sum")
    ) / 2
