"""How like each other the words of sentence pairs are to an encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mlctl.modeling.word_encoder import Span, Tokens, WordEncoder

#: A text and the characters [start, end) of its words.
Text = tuple[str, Sequence[Span]]

_BLOCK = 4096  # pairs tokenised and sorted by length at a time


class Similarities(NamedTuple):
    """Similarities of the words of some pairs (B, I, J).

    Attributes:
        rows: the number of each pair (B,).
        values: centred cosines, 0 where there is no cell.
        mask: (B, I, J) bool, the cells of words that the encoder has seen.
    """

    rows: Sequence[int]
    values: Tensor
    mask: Tensor


def similarities(encoder: WordEncoder, pairs: Sequence[tuple[Text, Text]], batch_tokens: int) -> Iterator[Similarities]:
    """Yield the similarities of the words of all pairs, some pairs of like length at a time.

    States are centred in each sentence, which takes out what its language and its topic put into all of them.

    Args:
        encoder: gives the states of words.
        pairs: both sides of each.
        batch_tokens: padded tokens that the encoder takes at once.
    """
    for first in range(0, len(pairs), _BLOCK):
        block = pairs[first : first + _BLOCK]
        sides = [
            encoder.tokens([text for text, _ in column], [spans for _, spans in column]) for column in zip(*block, strict=True)
        ]
        for rows in batches([(len(a.ids), len(b.ids)) for a, b in zip(*sides, strict=True)], batch_tokens):
            yield _similarity(encoder, [first + row for row in rows], [[side[row] for row in rows] for side in sides])


@torch.inference_mode()
def _similarity(encoder: WordEncoder, rows: Sequence[int], sides: Sequence[Sequence[Tokens]]) -> Similarities:
    texts = [*sides[0], *sides[1]]
    vectors = torch.split(encoder.vectors(texts), [len(tokens.ranges) for tokens in texts])
    seen = [torch.from_numpy(tokens.ranges[:, 1] > 0).to(encoder.device) for tokens in texts]
    padded = [pad_sequence(side, batch_first=True) for side in (list(vectors[: len(rows)]), list(vectors[len(rows) :]))]
    masks = [pad_sequence(side, batch_first=True) for side in (seen[: len(rows)], seen[len(rows) :])]
    source, target = (torch.nn.functional.normalize(side, dim=2) for side in centred(padded, masks))
    mask = masks[0].unsqueeze(2) & masks[1].unsqueeze(1)
    return Similarities(rows, (source @ target.mT) * mask, mask)


def batches(lengths: Sequence[tuple[int, int]], most: int) -> Iterator[list[int]]:
    """Yield the numbers of pairs of like length, so many that both sides have `most` padded tokens together (or one pair)."""
    order = sorted(range(len(lengths)), key=lambda row: (max(lengths[row]), row))
    batch: list[int] = []
    for row in order:
        if batch and 2 * (len(batch) + 1) * max(lengths[row]) > most:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def centred(sides: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    """Return the words (B, I, H) and (B, J, H) less their sentence's mean.

    A word that is alone is taken less the other side's mean (itself would leave nothing); two that are alone stay as they are.
    """
    counts = [mask.sum(1).view(-1, 1, 1) for mask in masks]
    means = [
        (side * mask.unsqueeze(2)).sum(1, keepdim=True) / count.clamp(min=1)
        for side, mask, count in zip(sides, masks, counts, strict=True)
    ]
    several = [count > 1 for count in counts]
    means = [mean * own for mean, own in zip(means, several, strict=True)]
    return [sides[at] - torch.where(several[at], means[at], means[1 - at]) for at in (0, 1)]
