"""Blocks: words of both sides that are linked to one another and to nothing else, next to each other on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Blocks:
    """Blocks of some sentence pairs, pair by pair, by their first link. One link whose words have no other is a block too.

    Attributes:
        rows: the pair of each (N,).
        source, target: its words [first, end) in their sentences (N, 2).
        confidence: mean confidence of its links (N,).
    """

    rows: Integers
    source: Integers
    target: Integers
    confidence: npt.NDArray[np.float32]


def blocks(rows: Integers, links: Integers, confidences: npt.NDArray[np.float32]) -> Blocks:
    """Return the blocks among links.

    Args:
        rows: the pair of each link (L,), ascending.
        links: source and target word (L, 2).
        confidences: of each link (L,).
    """
    words = [np.unique(rows << 32 | links[:, side], return_inverse=True)[1] for side in (0, 1)]
    first, block = np.unique(_components(words), return_inverse=True)
    sides = [_ranges(block, words[side], links[:, side], len(first)) for side in (0, 1)]
    close = (sides[0][1] & sides[1][1]).nonzero()[0]
    mean = np.bincount(block, confidences, len(first)) / np.bincount(block, minlength=len(first))
    return Blocks(rows[first][close], sides[0][0][close], sides[1][0][close], mean.astype(np.float32)[close])


def _components(words: list[Integers]) -> Integers:
    """Return for each link (L,) the first link that it hangs together with, over words that two links share.

    Args:
        words: a number for the word of each link (L,), on both sides.
    """
    label = np.arange(len(words[0]))
    while True:
        before = label
        for numbers in words:
            lowest = np.full(len(label), len(label))
            np.minimum.at(lowest, numbers, label)
            label = lowest[numbers]
        if np.array_equal(label, before):
            return label


def _ranges(block: Integers, words: Integers, places: Integers, count: int) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return the words [first, end) of one side of each block (count, 2), and whether they stand next to each other (count,)."""
    first, last = np.full(count, np.iinfo(np.int64).max), np.full(count, -1)
    np.minimum.at(first, block, places)
    np.maximum.at(last, block, places)
    _, one_link = np.unique(words, return_index=True)
    distinct = np.bincount(block[one_link], minlength=count)
    return np.stack([first, last + 1], axis=1), last + 1 - first == distinct
