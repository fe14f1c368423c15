"""The aligner `combined`: the links of a statistical aligner, confirmed and completed by an encoder's similarities.

Logistic regressions score each cell of a pair's grid of words in three rounds: the first from the statistical aligner and the encoder,
for the cell and its neighbours; the two others also from the neighbours' probabilities in the round before, because links lie on
diagonals and a word that has a link rarely has another. The weights were fitted on manually aligned sentences in fifteen sets of many
languages, with equal weight per set; weights fitted without a language have about the same error on it.
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

_MIN_SHARE = 1e-3  # added to a softmax share before its logarithm
_CERTAIN_CONFIDENCE = 0.9  # from this statistical confidence on, a link that the encoder has too is accepted
_MIN_POSSIBLE_SHARE = 0.01  # in row and column; below it, the encoder alone adds no link
_MIN_PROBABILITY = 0.45  # of a link


class Weights(NamedTuple):
    """Weights of a logistic regression: the bias, and one per feature in the order of `first_features` or `later_features`."""

    bias: float
    features: tuple[float, ...]


FIRST_ROUND = Weights(-0.22, (1.97, 0.35, 1.74, -2.03, 0.35, -0.21))
LATER_ROUNDS = (
    Weights(-1.22, (3.48, 0.17, 1.86, 0.41, 0.37, 1.97, -1.6, -1.74, -0.38)),
    Weights(-1.55, (3.21, 0.15, 2.07, 0.51, 0.24, 2.23, -1.28, -2.64, -0.51)),
)


class Grid(NamedTuple):
    """Inputs of the regressions for B pairs of at most I source and J target words.

    Attributes:
        similarity: centred cosines of the encoder's word states (B, I, J).
        mask: cells of words that the encoder has encoded (B, I, J) bool.
        confidence: the statistical aligner's, 0 where it has no link (B, I, J).
        distance: between the words' relative positions in their sentences, in [0, 1] (B, I, J).
    """

    similarity: Tensor
    mask: Tensor
    confidence: Tensor
    distance: Tensor


class CombinedAligner:
    """Combines a statistical aligner, trained on the corpus, with a pretrained encoder.

    The statistical aligner should use the symmetrisation `union`: the links of either direction are weighed here.
    """

    def __init__(self, statistical: Aligner, embedding: EmbeddingAligner) -> None:
        self._statistical = statistical
        self._embedding = embedding

    def train(self, pairs: Iterable[Pair]) -> None:
        """Train the statistical aligner; the encoder is not trained."""
        self._statistical.train(pairs)

    def save(self, folder: Path) -> None:
        """Write both aligners into one folder; the statistical aligner alone can load it too."""
        self._statistical.save(folder)
        self._embedding.save(folder)

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        """Return the links of each pair; their confidence is the probability that they are correct.

        Words beyond the encoder's maximum length keep their statistical links.
        """
        statistical = self._statistical.align(pairs)
        results: list[Links] = [no_links()] * len(pairs)
        for batch in self._embedding.similarities(pairs):
            grid = to_grid(batch, [pairs[row] for row in batch.rows], [statistical[row] for row in batch.rows])
            probability = link_probabilities(grid)
            for row, links in zip(batch.rows, to_links(select_links(grid, probability), probability), strict=True):
                results[row] = links
        return results


@torch.inference_mode()
def link_probabilities(grid: Grid) -> Tensor:
    """Return the probability that each cell is a link (B, I, J); outside the mask, the statistical confidence."""
    features = first_features(grid)
    probability = _regress(grid, features, FIRST_ROUND)
    for weights in LATER_ROUNDS:
        probability = _regress(grid, later_features(features, probability), weights)
    return probability


def select_links(grid: Grid, probability: Tensor) -> Tensor:
    """Return the cells that are links (B, I, J) bool.

    A cell can be a link only if the statistical aligner links it or both its softmax shares are high enough; a confident
    statistical link that is also the encoder's best match always is one.
    """
    rows, columns = softmax_shares(grid.similarity, grid.mask)
    linked = grid.confidence > 0
    possible = linked | ((rows > _MIN_POSSIBLE_SHARE) & (columns > _MIN_POSSIBLE_SHARE))
    certain = (grid.confidence >= _CERTAIN_CONFIDENCE) & argmax(grid.similarity, grid.mask)
    return torch.where(grid.mask, certain | (possible & (probability > _MIN_PROBABILITY)), linked)


def first_features(grid: Grid) -> list[Tensor]:
    """Return the features of the first round, each (B, I, J).

    Similarity; sum of the logarithms of both softmax shares; statistical confidence; distance; and of the statistical confidence:
    the sum over the two diagonal neighbours, and the sum of the largest other value in the row and in the column.
    """
    rows, columns = softmax_shares(grid.similarity, grid.mask)
    log_shares = (rows + _MIN_SHARE).log() + (columns + _MIN_SHARE).log()
    rivals = max_of_others(grid.confidence, 1) + max_of_others(grid.confidence, 2)
    return [grid.similarity, log_shares, grid.confidence, grid.distance, sum_of_diagonal_neighbours(grid.confidence), rivals]


def later_features(first: Sequence[Tensor], probability: Tensor) -> list[Tensor]:
    """Return the features of a later round, each (B, I, J): some of the first round, and some of the probabilities of the round before.

    Of the first round: similarity, shares, confidence and its largest others. Of the probabilities: the sum over the two diagonal
    neighbours and over the four adjacent cells; the largest others of row and column, added and multiplied; the sum of all others
    in row and column.
    """
    similarity, log_shares, confidence, _, _, rivals = first
    row, column = max_of_others(probability, 2), max_of_others(probability, 1)
    total = probability.sum(1, keepdim=True) + probability.sum(2, keepdim=True) - 2 * probability
    neighbours = [sum_of_diagonal_neighbours(probability), sum_of_adjacent(probability)]
    return [similarity, log_shares, confidence, rivals, *neighbours, row + column, row * column, total]


def to_grid(batch: WordSimilarities, pairs: Sequence[Pair], links: Sequence[Links]) -> Grid:
    """Return the grid of a batch of pairs, from their similarities and statistical links."""
    values = batch.values
    confidence = torch.zeros_like(values)
    for row, pair_links in enumerate(links):
        words = torch.from_numpy(pair_links.words).to(values.device).long()
        confidence[row, words[:, 0], words[:, 1]] = torch.from_numpy(pair_links.confidence).to(values)
    sizes = torch.tensor([[len(side.spans) for side in pair] for pair in pairs], device=values.device)
    source, target = (_relative_positions(sizes[:, side], values.shape[1 + side]) for side in (0, 1))
    return Grid(values, batch.mask, confidence, (source.unsqueeze(2) - target.unsqueeze(1)).abs())


def sum_of_diagonal_neighbours(values: Tensor) -> Tensor:
    """Return for each cell the sum of the cells before and after it on its diagonal (B, I, J); cells outside count 0."""
    return _shifted(values, 1, 1) + _shifted(values, -1, -1)


def sum_of_adjacent(values: Tensor) -> Tensor:
    """Return for each cell the sum of the four adjacent cells (B, I, J); cells outside count 0."""
    return _shifted(values, 0, 1) + _shifted(values, 0, -1) + _shifted(values, 1, 0) + _shifted(values, -1, 0)


def max_of_others(values: Tensor, axis: int) -> Tensor:
    """Return for each cell the largest other cell along an axis (B, I, J); 0 if it is alone. Values must not be negative."""
    top = torch.nn.functional.pad(values, (0, 1, 0, 1)).topk(2, axis).values  # padded with a cell of 0, so that there are two
    top = top[:, :-1] if axis == 2 else top[..., :-1]
    first, second = top.narrow(axis, 0, 1), top.narrow(axis, 1, 1)
    return torch.where(values == first, second, first)


def _shifted(values: Tensor, down: int, right: int) -> Tensor:
    rows, columns = values.shape[1:]
    padded = torch.nn.functional.pad(values, (1, 1, 1, 1))
    return padded[:, 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]


def _relative_positions(sizes: Tensor, width: int) -> Tensor:
    return (torch.arange(width, device=sizes.device) + 0.5) / sizes.unsqueeze(1)


def _regress(grid: Grid, features: Sequence[Tensor], weights: Weights) -> Tensor:
    logit = weights.bias + sum(weight * value for weight, value in zip(weights.features, features, strict=True))
    return torch.where(grid.mask, torch.sigmoid(torch.as_tensor(logit)), grid.confidence)
