"""Word-to-word cosine similarity matrices of sentence pairs.

Symbols: B sentence pairs, I and J source and target words of the longest, H size of the encoder's states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mlctl.modeling.word_encoder import Span, TokenizedText, WordEncoder

#: A text and the characters [start, end) of its words.
Text = tuple[str, Sequence[Span]]

_BLOCK = 4096  # pairs that are tokenised and sorted by length at a time


class WordSimilarities(NamedTuple):
    """Similarities of the words of some pairs (B, I, J).

    Attributes:
        rows: the index of each pair (B,).
        values: centred cosines, 0 in padded cells.
        mask: (B, I, J) bool, the cells of words that have a vector.
    """

    rows: Sequence[int]
    values: Tensor
    mask: Tensor


def word_similarities(encoder: WordEncoder, pairs: Sequence[tuple[Text, Text]], batch_tokens: int) -> Iterator[WordSimilarities]:
    """Yield the similarities of the words of all pairs, in batches of pairs of similar length.

    States are centred within each sentence, which removes what its language and topic contribute to all of them.

    Args:
        encoder: encodes words.
        pairs: both sides of each.
        batch_tokens: padded tokens that are encoded at once.
    """
    for first in range(0, len(pairs), _BLOCK):
        block = pairs[first : first + _BLOCK]
        sides = [
            encoder.tokenise([text for text, _ in column], [spans for _, spans in column]) for column in zip(*block, strict=True)
        ]
        lengths = [(len(source.input_ids), len(target.input_ids)) for source, target in zip(*sides, strict=True)]
        for rows in length_batches(lengths, batch_tokens):
            yield _similarities(encoder, [first + row for row in rows], [[side[row] for row in rows] for side in sides])


@torch.inference_mode()
def _similarities(encoder: WordEncoder, rows: Sequence[int], sides: Sequence[Sequence[TokenizedText]]) -> WordSimilarities:
    texts = [*sides[0], *sides[1]]
    vectors = torch.split(encoder.encode(texts), [len(text.word_spans) for text in texts])
    has_vector = [torch.from_numpy(text.word_spans[:, 1] > 0).to(encoder.device) for text in texts]
    padded = [pad_sequence(side, batch_first=True) for side in (list(vectors[: len(rows)]), list(vectors[len(rows) :]))]
    masks = [pad_sequence(side, batch_first=True) for side in (has_vector[: len(rows)], has_vector[len(rows) :])]
    source, target = (torch.nn.functional.normalize(side, dim=2) for side in centred(padded, masks))
    mask = masks[0].unsqueeze(2) & masks[1].unsqueeze(1)
    return WordSimilarities(rows, (source @ target.mT) * mask, mask)


def length_batches(lengths: Sequence[tuple[int, int]], max_tokens: int) -> Iterator[list[int]]:
    """Yield the indices of pairs of similar length, in batches of at most `max_tokens` padded tokens of both sides, or of one pair."""
    order = sorted(range(len(lengths)), key=lambda row: (max(lengths[row]), row))
    batch: list[int] = []
    for row in order:
        if batch and 2 * (len(batch) + 1) * max(lengths[row]) > max_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def centred(sides: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    """Return the words (B, I, H) and (B, J, H) minus their sentence's mean.

    A single word is centred by the other side's mean (its own would leave nothing); two single words stay unchanged.
    """
    counts = [mask.sum(1).view(-1, 1, 1) for mask in masks]
    means = [
        (side * mask.unsqueeze(2)).sum(1, keepdim=True) / count.clamp(min=1)
        for side, mask, count in zip(sides, masks, counts, strict=True)
    ]
    several = [count > 1 for count in counts]
    means = [mean * is_several for mean, is_several in zip(means, several, strict=True)]
    return [sides[side] - torch.where(several[side], means[side], means[1 - side]) for side in (0, 1)]
