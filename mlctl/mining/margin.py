"""Margin scoring of nearest neighbours (Artetxe & Schwenk 2019, arXiv 1811.01136): ratio margin, mutual best.

Symbols: N and M sentences of the two sides, K neighbours of each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.mining.index import Neighbours

Rows = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

_EPSILON = 1e-6
_BLOCK_ROWS = 2**18


class MinedPairs(NamedTuple):
    """Pairs of rows, best first, each row of either side at most once.

    Attributes:
        source: (P,) rows of the source side.
        target: (P,) rows of the target side.
        margin: (P,) their margins, in descending order.
    """

    source: Rows
    target: Rows
    margin: Scores

    def select(self, chosen: npt.NDArray[np.bool_] | slice) -> MinedPairs:
        """Return some of the pairs."""
        return MinedPairs(self.source[chosen], self.target[chosen], self.margin[chosen])


def mutual_best(forward: Neighbours, backward: Neighbours) -> MinedPairs:
    """Return the pairs in which each sentence has the greatest margin among the neighbours of the other.

    The margin of x and y is cos(x, y) / (mean of the cosines of x and of y with their K neighbours); of equal margins the nearer neighbour
    counts, then the first row.

    Args:
        forward: (N, K) neighbours of the source side in the target side.
        backward: (M, K) neighbours of the target side in the source side.
    """
    means = mean_cosines(forward), mean_cosines(backward)
    targets, margins = _best(forward, means[0], means[1])
    sources, _ = _best(backward, means[1], means[0])
    rows = np.arange(len(forward))
    mutual = (targets >= 0) & (sources[targets] == rows) if len(sources) else np.zeros(len(rows), bool)
    pairs = MinedPairs(rows[mutual], targets[mutual], margins[mutual])
    order = np.lexsort((pairs.target, pairs.source, -pairs.margin))
    return MinedPairs(pairs.source[order], pairs.target[order], pairs.margin[order])


def mean_cosines(neighbours: Neighbours) -> Scores:
    """Return the mean cosine of each sentence with its neighbours, (N,); 0 of one without any."""
    found = neighbours["row"] >= 0
    sums = np.where(found, neighbours["cosine"], 0).sum(1, dtype=np.float64)
    means: Scores = sums / np.maximum(found.sum(1), 1)
    return means


def _best(neighbours: Neighbours, own: Scores, others: Scores) -> tuple[Rows, Scores]:
    """Return the neighbour of each sentence with the greatest margin (-1: none), and that margin; the arguments are of both sides."""
    rows, margins = np.full(len(neighbours), -1, np.int64), np.full(len(neighbours), -np.inf)
    for first in range(0, len(neighbours), _BLOCK_ROWS):
        block = slice(first, first + _BLOCK_ROWS)
        near = neighbours[block]
        mean = (own[block, None] + others[near["row"]]) / 2
        scores = np.where(near["row"] >= 0, near["cosine"].astype(np.float64) / np.maximum(mean, _EPSILON), -np.inf)
        best = scores.argmax(1)[:, None]
        rows[block], margins[block] = np.take_along_axis(near["row"], best, 1)[:, 0], np.take_along_axis(scores, best, 1)[:, 0]
    return rows, margins
