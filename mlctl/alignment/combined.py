"""Statistical links, confirmed and completed by an encoder's.

A cell of a pair's grid of words is judged three times by a logistic regression: first by what the statistical aligner and the encoder
say of it and the cells around it, then twice also by the last judgement of those cells, since links come in diagonals and a word that
has one needs no other. The few weights were fitted on sentences aligned by hand in fifteen sets of many languages, each set counting
alike; fitted without a language, they err there about as little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mlctl.alignment.aligner import Aligner, Links, Pair
from mlctl.alignment.embedding import EmbeddingAligner, no_links, to_links
from mlctl.modeling.link_extraction import argmax, softmax_shares
from mlctl.modeling.word_similarity import WordSimilarities

_FLOOR = 1e-3  # of a share, for its logarithm
_SURE = 0.9  # statistical confidence of a link that nobody doubts when the encoder agrees
_POSSIBLE = 0.01  # share in row and column, below which the encoder completes nothing
_LEAST = 0.45  # probability of a link


class Weights(NamedTuple):
    """Of a logistic regression: one for each of the evidences, in the order of `first_evidence` or `later_evidence`."""

    constant: float
    evidence: tuple[float, ...]


FIRST = Weights(-0.22, (1.97, 0.35, 1.74, -2.03, 0.35, -0.21))
LATER = (
    Weights(-1.22, (3.48, 0.17, 1.86, 0.41, 0.37, 1.97, -1.6, -1.74, -0.38)),
    Weights(-1.55, (3.21, 0.15, 2.07, 0.51, 0.24, 2.23, -1.28, -2.64, -0.51)),
)


class Grid(NamedTuple):
    """What is known of the cells of some pairs (B, I, J): `confidence` is the statistical aligner's, 0 where it has no link."""

    similarity: Tensor
    mask: Tensor
    confidence: Tensor
    distance: Tensor  # between the words' places in their sentences, each counted from 0 to 1


class CombinedAligner:
    """Joins a statistical aligner, which knows the corpus, and an encoder, which knows the languages.

    The statistical aligner should be joined by `union`: all that either direction says is weighed here.
    """

    def __init__(self, statistical: Aligner, embedding: EmbeddingAligner) -> None:
        self._statistical = statistical
        self._embedding = embedding

    def train(self, pairs: Iterable[Pair]) -> None:
        """Train the statistical aligner; the encoder learns nothing."""
        self._statistical.train(pairs)

    def save(self, folder: Path) -> None:
        """Write both into one folder, which the statistical aligner alone can read too."""
        self._statistical.save(folder)
        self._embedding.save(folder)

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        """Return the links of each pair; their confidence is the probability that they are right.

        Words that the encoder has not seen (behind its limit) keep their statistical links.
        """
        statistical = self._statistical.align(pairs)
        found: list[Links] = [no_links()] * len(pairs)
        for batch in self._embedding.similarities(pairs):
            grid = to_grid(batch, [pairs[row] for row in batch.rows], [statistical[row] for row in batch.rows])
            sure = probabilities(grid)
            for row, links in zip(batch.rows, to_links(decide(grid, sure), sure), strict=True):
                found[row] = links
        return found


@torch.inference_mode()
def probabilities(grid: Grid) -> Tensor:
    """Return how likely each cell is a link (B, I, J); the statistical confidence where the encoder has seen nothing."""
    evidence = first_evidence(grid)
    probability = _judged(grid, evidence, FIRST)
    for weights in LATER:
        probability = _judged(grid, later_evidence(evidence, probability), weights)
    return probability


def decide(grid: Grid, probability: Tensor) -> Tensor:
    """Return the cells that are links (B, I, J) bool.

    Only what the statistical aligner links or the encoder finds possible can be one; what both are sure of always is.
    """
    rows, columns = softmax_shares(grid.similarity, grid.mask)
    linked = grid.confidence > 0
    possible = linked | ((rows > _POSSIBLE) & (columns > _POSSIBLE))
    sure = (grid.confidence >= _SURE) & argmax(grid.similarity, grid.mask)
    return torch.where(grid.mask, sure | (possible & (probability > _LEAST)), linked)


def first_evidence(grid: Grid) -> list[Tensor]:
    """Return what both aligners say, each (B, I, J).

    Similarity; log of both softmax shares, added up; statistical confidence; distance; and of the statistical confidence: the two
    diagonal neighbours' sum, the largest other ones of row and column added up.
    """
    rows, columns = softmax_shares(grid.similarity, grid.mask)
    agreed = (rows + _FLOOR).log() + (columns + _FLOOR).log()
    rivals = others(grid.confidence, 1) + others(grid.confidence, 2)
    return [grid.similarity, agreed, grid.confidence, grid.distance, diagonal(grid.confidence), rivals]


def later_evidence(first: Sequence[Tensor], probability: Tensor) -> list[Tensor]:
    """Return similarity, shares, confidence and its rivals again, and what the last judgement says around each cell (B, I, J).

    Its sum over the two diagonal neighbours, over the four beside; the largest others of row and column, added and multiplied;
    the sum of all others in row and column.
    """
    similarity, agreed, confidence, _, _, rivals = first
    row, column = others(probability, 2), others(probability, 1)
    total = probability.sum(1, keepdim=True) + probability.sum(2, keepdim=True) - 2 * probability
    around = [diagonal(probability), beside(probability), row + column, row * column, total]
    return [similarity, agreed, confidence, rivals, *around]


def to_grid(batch: WordSimilarities, pairs: Sequence[Pair], links: Sequence[Links]) -> Grid:
    """Lay statistical links and similarities of pairs on one grid."""
    values = batch.values
    confidence = torch.zeros_like(values)
    for row, found in enumerate(links):
        places = torch.from_numpy(found.words).to(values.device).long()
        confidence[row, places[:, 0], places[:, 1]] = torch.from_numpy(found.confidence).to(values)
    sizes = torch.tensor([[len(side.spans) for side in pair] for pair in pairs], device=values.device)
    source, target = (_places(sizes[:, side], values.shape[1 + side]) for side in (0, 1))
    return Grid(values, batch.mask, confidence, (source.unsqueeze(2) - target.unsqueeze(1)).abs())


def diagonal(values: Tensor) -> Tensor:
    """Return the sum of the cells before and behind each on its diagonal; 0 outside."""
    return _shifted(values, 1, 1) + _shifted(values, -1, -1)


def beside(values: Tensor) -> Tensor:
    """Return the sum of the four cells that touch each; 0 outside."""
    return _shifted(values, 0, 1) + _shifted(values, 0, -1) + _shifted(values, 1, 0) + _shifted(values, -1, 0)


def others(values: Tensor, axis: int) -> Tensor:
    """Return of each cell the largest other cell along an axis of cells that are not negative; 0 where it is alone."""
    most = torch.nn.functional.pad(values, (0, 1, 0, 1)).topk(2, axis).values  # one cell of 0 more, so that there are two
    most = most[:, :-1] if axis == 2 else most[..., :-1]
    best, second = most.narrow(axis, 0, 1), most.narrow(axis, 1, 1)
    return torch.where(values == best, second, best)


def _shifted(values: Tensor, down: int, right: int) -> Tensor:
    rows, columns = values.shape[1:]
    wide = torch.nn.functional.pad(values, (1, 1, 1, 1))
    return wide[:, 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]


def _places(sizes: Tensor, width: int) -> Tensor:
    return (torch.arange(width, device=sizes.device) + 0.5) / sizes.unsqueeze(1)


def _judged(grid: Grid, evidence: Sequence[Tensor], weights: Weights) -> Tensor:
    score = weights.constant + sum(weight * value for weight, value in zip(weights.evidence, evidence, strict=True))
    return torch.where(grid.mask, torch.sigmoid(torch.as_tensor(score)), grid.confidence)
