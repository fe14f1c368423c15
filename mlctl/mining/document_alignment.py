"""Alignment of the sentences of a document with those of its translation, in order (Thompson & Koehn 2019, Vecalign).

A dynamic programme over blocks of sentences: 1-1, 1-many, many-1, 2-2, and sentences without a counterpart. The cost of a block compares its
similarity with that of sentences at random, as in Vecalign, and its lengths, as in Gale & Church (1993). Long documents are aligned from
coarse to fine in a band around the path of halves, in time and memory that grow linearly.

Symbols: N and M sentences of the two documents, O size of a vector.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Vectors = npt.NDArray[np.float32]
_Numbers = npt.NDArray[np.float64]
_Columns = npt.NDArray[np.int64]

_MAX_CELLS = 300_000  # of the table that is computed in full
_BAND = 24  # columns on either side of the coarse path
_SAMPLES = 64  # sentences that stand for the whole document when the similarity at random is estimated
_LENGTH_VARIANCE = 6.8  # of the length of a translation, for each character (Gale & Church 1993)
_MAX_PENALTY = 1.0  # of lengths
_EPSILON = 1e-6
_NO_MOVE = -1


class Block(NamedTuple):
    """Sentences `source[0]` to `source[1]` (excluded) of one document, and those of the other that they are aligned with, maybe none.

    `score`: 0 is as similar as sentences at random, 1 is equal vectors; 0 for a block with one side.
    """

    source: tuple[int, int]
    target: tuple[int, int]
    score: float


@dataclass(frozen=True)
class AlignmentCosts:
    """Parameters of the alignment.

    Attributes:
        max_merge: sentences of one side that can be aligned with one of the other.
        skip: cost of a sentence without a counterpart; that of two sentences at random is 1.
        length: weight of the surprise at the lengths of both sides, as in Gale & Church, by the documents' own ratio.
        merge: cost of each further sentence in a block.
    """

    max_merge: int = 4
    skip: float = 0.45
    length: float = 0.08
    merge: float = 0.1

    @property
    def moves(self) -> list[tuple[int, int]]:
        """The sizes of blocks with two sides; of equal costs the first is taken."""
        many = range(2, self.max_merge + 1)
        return [(1, 1), *((1, size) for size in many), *((size, 1) for size in many), *([(2, 2)] if self.max_merge > 1 else [])]


class Document(NamedTuple):
    """Vectors (N, O) of length 1 of a document's sentences, and their lengths in characters (N,)."""

    vectors: Vectors
    lengths: _Numbers


def align_documents(source: Document, target: Document, costs: AlignmentCosts | None = None) -> list[Block]:
    """Return the blocks in order; every sentence of either document is in exactly one.

    Args:
        source: N sentences.
        target: M sentences.
        costs: parameters; None: the defaults.
    """
    with threadpool_limits(1):  # as in a worker: sums may depend on the number of threads
        return _align(source, target, costs or AlignmentCosts())


def _align(source: Document, target: Document, costs: AlignmentCosts) -> list[Block]:
    sizes = len(source.lengths), len(target.lengths)
    if not all(sizes):
        return [Block((row, row + 1), (0, 0), 0.0) for row in range(sizes[0])] + [
            Block((0, 0), (row, row + 1), 0.0) for row in range(sizes[1])
        ]
    if sizes[0] * sizes[1] <= _MAX_CELLS:
        first, last = np.zeros(sizes[0] + 1, np.int64), np.full(sizes[0] + 1, sizes[1])
    else:
        coarse = _align(_halved(source), _halved(target), AlignmentCosts(1, costs.skip, costs.length))
        first, last = _band(coarse, *sizes)
    return _Table(source, target, costs, first, last).blocks()


def _halved(document: Document) -> Document:
    """Return the document with two sentences in place of one."""
    even = len(document.lengths) // 2 * 2
    vectors = document.vectors[:even].reshape(-1, 2, document.vectors.shape[1]).sum(1)
    lengths = document.lengths[:even].reshape(-1, 2).sum(1)
    if even < len(document.lengths):
        vectors, lengths = np.concatenate([vectors, document.vectors[even:]]), np.append(lengths, document.lengths[even:])
    return Document(_unit(vectors), lengths)


def _band(coarse: list[Block], rows: int, columns: int) -> tuple[_Columns, _Columns]:
    """Return for each row, 0 to N, the first and last column that a path may go through: near the path of the halves."""
    points = np.array([(2 * block.source[1], 2 * block.target[1]) for block in [Block((0, 0), (0, 0), 0.0), *_in_order(coarse)]])
    first, last = np.full(rows + 1, columns), np.zeros(rows + 1, np.int64)
    for (row, column), (next_row, next_column) in itertools.pairwise(points):
        low, high = max(0, row - 2), min(rows, next_row + 2)
        first[low : high + 1] = np.minimum(first[low : high + 1], column - _BAND)
        last[low : high + 1] = np.maximum(last[low : high + 1], next_column + _BAND)
    first = np.minimum.accumulate(np.clip(first, 0, columns)[::-1])[::-1]
    last = np.maximum.accumulate(np.clip(last, 0, columns))
    first[0], last[-1] = 0, columns
    return first, last


def _in_order(blocks: list[Block]) -> list[Block]:
    """Return blocks whose ends do not decrease on either side: of a block without one side, the end of the one before."""
    source = target = 0
    ordered = []
    for block in blocks:
        source, target = max(source, block.source[1]), max(target, block.target[1])
        ordered.append(Block((0, source), (0, target), block.score))
    return ordered


class _Table:
    """The table of the dynamic programme: cell (i, j) is the least cost of aligning the first i and the first j sentences.

    Row i has the columns `first[i]` to `last[i]`.
    """

    def __init__(self, source: Document, target: Document, costs: AlignmentCosts, first: _Columns, last: _Columns) -> None:
        self._costs, self._first, self._last = costs, first, last
        self._sizes = len(source.lengths), len(target.lengths)
        self._moves = costs.moves
        self._blocks = [_Merged.of(document, costs.max_merge) for document in (source, target)]
        samples = [_sample(document.vectors) for document in (source, target)]
        #: For blocks of each size the mean distance to sentences at random of the other document.
        self._random = [
            [_mean_distance(vectors, sample) for vectors in merged.vectors]
            for merged, sample in zip(self._blocks, reversed(samples), strict=True)
        ]
        self._ratio = max(target.lengths.sum(), 1) / max(source.lengths.sum(), 1)

    def blocks(self) -> list[Block]:
        """Return the blocks of the cheapest path."""
        rows, moves = self._fill()
        del rows
        blocks = list[Block]()
        i, j = self._sizes
        while i or j:
            number = int(moves[i][j - self._first[i]])
            a, b = [(1, 0), (0, 1), *self._moves][number]
            score = 1 - float(self._distances(a, b, i, np.array([j]))[0]) if a and b else 0.0
            blocks.append(Block((i - a, i), (j - b, j), score))
            i, j = i - a, j - b
        return blocks[::-1]

    def _fill(self) -> tuple[list[_Numbers], list[npt.NDArray[np.int8]]]:
        """Compute all rows: the costs, and the number of the move that each cell is reached by."""
        rows, moves = list[_Numbers](), list[npt.NDArray[np.int8]]()
        keep = self._costs.max_merge + 1
        for i in range(self._sizes[0] + 1):
            columns = np.arange(self._first[i], self._last[i] + 1)
            best = np.full(len(columns), np.inf)
            move = np.full(len(columns), _NO_MOVE, np.int8)
            if i == 0:
                best[0] = 0.0
            else:
                self._relax(best, move, self._from(rows, i - 1, columns) + self._costs.skip, 0)
            for number, (a, b) in enumerate(self._moves, 2):
                if a <= i and columns[-1] >= b:
                    self._relax(best, move, self._from(rows, i - a, columns - b) + self._cost(a, b, i, columns), number)
            rows.append(self._with_insertions(best, move))
            moves.append(move)
            if i >= keep:
                rows[i - keep] = np.empty(0)
        return rows, moves

    def _from(self, rows: list[_Numbers], i: int, columns: _Columns) -> _Numbers:
        """Return the costs of cells of an earlier row; infinite outside of the table."""
        row, index = rows[i], columns - self._first[i]
        inside = (index >= 0) & (index < len(row))
        return np.where(inside, row[np.clip(index, 0, len(row) - 1)], np.inf)

    @staticmethod
    def _relax(best: _Numbers, move: npt.NDArray[np.int8], costs: _Numbers, number: int) -> None:
        better = costs < best
        best[better], move[better] = costs[better], number

    def _with_insertions(self, best: _Numbers, move: npt.NDArray[np.int8]) -> _Numbers:
        """Return the costs of a row with moves along it: sentences of the target without a counterpart."""
        steps = self._costs.skip * np.arange(len(best))
        start = np.minimum.accumulate(best - steps)
        reached = start + steps
        inserted = reached < best - _EPSILON
        move[inserted] = 1
        return np.where(inserted, reached, best)

    def _cost(self, a: int, b: int, i: int, columns: _Columns) -> _Numbers:
        """Return the costs of the blocks of a and b sentences that end before row i and the columns; infinite before the start."""
        costs = np.full(len(columns), np.inf)
        valid = columns >= b
        ends = columns[valid]
        source, target = (merged.lengths[size - 1] for merged, size in zip(self._blocks, (a, b), strict=True))
        expected, found = source[i - a] * self._ratio, target[ends - b]
        surprise = (found - expected) ** 2 / (_LENGTH_VARIANCE * (expected + found))  # -log p of a normal distribution
        penalty = np.minimum(self._costs.length * surprise, _MAX_PENALTY) + self._costs.merge * (a + b - 2)
        costs[valid] = (self._distances(a, b, i, ends) + penalty) * (a + b) / 2
        return costs

    def _distances(self, a: int, b: int, i: int, ends: _Columns) -> _Numbers:
        """Return the distances of blocks, of which 1 is that of sentences at random."""
        source, target = self._blocks[0].vectors[a - 1], self._blocks[1].vectors[b - 1]
        low, high = int(ends[0]) - b, int(ends[-1]) - b + 1
        distance = 1 - (target[low:high] @ source[i - a]).astype(np.float64)
        random = (self._random[0][a - 1][i - a] + self._random[1][b - 1][low:high]) / 2
        distances: _Numbers = distance / np.maximum(random, _EPSILON)
        return distances


class _Merged(NamedTuple):
    """Vectors and lengths of 1, 2, … consecutive sentences, by their number and then by the first of them."""

    vectors: list[Vectors]
    lengths: list[_Numbers]

    @classmethod
    def of(cls, document: Document, most: int) -> _Merged:
        """Return the blocks of up to `most` sentences: normalised sums of their vectors, weighted by length."""
        weighted = document.vectors * document.lengths[:, None].astype(np.float32)
        vectors, lengths = [document.vectors], [np.maximum(document.lengths, 1)]
        sums = weighted
        for size in range(2, most + 1):
            count = max(0, len(weighted) - size + 1)
            sums = sums[:count] + weighted[size - 1 : size - 1 + count]
            vectors.append(_unit(sums))
            lengths.append(lengths[-1][:count] + document.lengths[size - 1 : size - 1 + count])
        return cls(vectors, lengths)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(lengths, _EPSILON)).astype(np.float32)
    return unit


def _sample(vectors: Vectors) -> Vectors:
    """Return sentences at equal distances."""
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(_SAMPLES, len(vectors))).astype(np.int64))
    return vectors[rows]


def _mean_distance(vectors: Vectors, sample: Vectors) -> _Numbers:
    distances: _Numbers = 1 - (vectors @ sample.T).mean(1, dtype=np.float64)
    return distances
