"""Phrase blocks: adjacent words of both sides that are linked to one another and to no other word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PhraseBlocks:
    """Blocks of some sentence pairs, ordered by their first link. A single link whose words have no other is a block, too.

    Attributes:
        rows: the pair of each (N,).
        source, target: its words [first, end) in their sentences (N, 2).
        confidence: mean confidence of its links (N,).
    """

    rows: Integers
    source: Integers
    target: Integers
    confidence: npt.NDArray[np.float32]


def find_blocks(rows: Integers, links: Integers, confidences: npt.NDArray[np.float32]) -> PhraseBlocks:
    """Return the blocks of links: the connected components whose words are adjacent on both sides.

    Args:
        rows: the pair of each link (L,), ascending.
        links: source and target word (L, 2).
        confidences: of each link (L,).
    """
    words = [np.unique(rows << 32 | links[:, side], return_inverse=True)[1] for side in (0, 1)]
    first_link, block = np.unique(_connected_components(words), return_inverse=True)
    (source, source_adjacent), (target, target_adjacent) = (
        _word_ranges(block, words[side], links[:, side], len(first_link)) for side in (0, 1)
    )
    adjacent = (source_adjacent & target_adjacent).nonzero()[0]
    mean = np.bincount(block, confidences, len(first_link)) / np.bincount(block, minlength=len(first_link))
    return PhraseBlocks(rows[first_link][adjacent], source[adjacent], target[adjacent], mean.astype(np.float32)[adjacent])


def _connected_components(words: list[Integers]) -> Integers:
    """Return for each link (L,) the first link of its connected component; links are connected if they share a word.

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


def _word_ranges(block: Integers, words: Integers, positions: Integers, count: int) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return the words [first, end) of one side of each block (count, 2), and whether they are adjacent (count,)."""
    first, last = np.full(count, np.iinfo(np.int64).max), np.full(count, -1)
    np.minimum.at(first, block, positions)
    np.maximum.at(last, block, positions)
    _, one_link_per_word = np.unique(words, return_index=True)
    distinct = np.bincount(block[one_link_per_word], minlength=count)
    return np.stack([first, last + 1], axis=1), last + 1 - first == distinct
