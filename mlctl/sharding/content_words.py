"""Words of aligned pairs: which are content words, and which word pairs of them can be learnt from."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl.core.random import text_draws
from mlctl.core.unicode_scripts import has_unspaced
from mlctl.sharding.phrase_blocks import Blocks, blocks

LONGEST = 4  # words of one side of a block: longer ones are mostly what an aligner could not tell apart
ROWS = 4096  # of a batch: what is held in memory at a time

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """The words of one side of a batch: texts (rows), word ranges (words, 2), and where each row's words begin (rows + 1)."""

    texts: list[str]
    ranges: Integers
    bounds: Integers

    @classmethod
    def of(cls, batch: pa.RecordBatch, name: str) -> Side:
        """Read the side `name`, "source" or "target"."""
        return cls(batch[name].to_pylist(), *_pairs(batch[f"{name}_words"], ("start", "end")))

    def words(self) -> list[list[str]]:
        """Return the case-folded words of each row."""
        starts, ends = self.ranges[:, 0].tolist(), self.ranges[:, 1].tolist()
        return [
            [text[start:end].casefold() for start, end in zip(starts[first:last], ends[first:last], strict=True)]
            for text, (first, last) in zip(self.texts, itertools.pairwise(self.bounds.tolist()), strict=True)
        ]


@dataclass(frozen=True)
class WordPairs:
    """Word pairs of words or of blocks of words, sentence by sentence.

    Attributes:
        rows: the row of each (N,).
        source, target: its words [first, end) on each side, counted through the batch (N, 2).
        words: a hash of its source words, case-folded (N,).
    """

    rows: Integers
    source: Integers
    target: Integers
    words: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class ContentWords:
    """What makes words of one pair of languages worth learning from.

    Attributes:
        source_stops, target_stops: frequent words, case-folded, that are not content words.
        min_letters: letters that a content word has at least; 1 in scripts without spaces.
        blocks: whether several neighbouring words that are linked to each other alone are a word pair too.
        min_confidence: mean confidence of its links that a word pair has at least.
    """

    source_stops: frozenset[str]
    target_stops: frozenset[str]
    min_letters: int
    blocks: bool
    min_confidence: float

    def word_pairs(self, batch: pa.RecordBatch) -> WordPairs:
        """Return the word pairs of content words that are linked to each other alone and stand once in their sentences.

        A block begins and ends with such a word on both sides. What stands inside may be anything (`pomme de terre`), but a
        function word at an end (`la maison`) would make the word pair learn that it belongs to the other word.
        """
        source, target = Side.of(batch, "source"), Side.of(batch, "target")
        found = _blocks(batch)
        good = found.confidence >= np.float32(self.min_confidence)
        words, places = source.words(), []
        for side, named, ranges, stops in (
            (source, words, found.source, self.source_stops),
            (target, target.words(), found.target, self.target_stops),
        ):
            usable, there = self._usable(named, stops), side.bounds[found.rows, None] + ranges
            good &= ranges[:, 1] - ranges[:, 0] <= (LONGEST if self.blocks else 1)
            good &= usable[there[:, 0]] & usable[there[:, 1] - 1]
            places.append(there)
        rows, named = found.rows[good], found.source[good].tolist()
        hashes = [_hash(" ".join(words[row][first:end])) for row, (first, end) in zip(rows.tolist(), named, strict=True)]
        return WordPairs(rows, places[0][good], places[1][good], np.array(hashes, np.uint64))

    def _usable(self, words: list[list[str]], stops: frozenset[str]) -> npt.NDArray[np.bool_]:
        return np.array(
            [
                word not in stops and _long_enough(word, self.min_letters) and sentence.count(word) == 1
                for sentence in words
                for word in sentence
            ],
            dtype=bool,
        )


def count_words(counts: Counter[str], side: Side) -> None:
    """Count the case-folded words of a side that have letters."""
    counts.update(word for word in itertools.chain.from_iterable(side.words()) if _letters(word))


def most_frequent(counts: Counter[str], number: int) -> frozenset[str]:
    """Return the most frequent words; of equally frequent ones, the first in code-point order."""
    return frozenset(sorted(counts, key=lambda word: (-counts[word], word))[:number])


@functools.lru_cache(maxsize=1 << 17)
def _letters(word: str) -> int:
    return sum(map(str.isalpha, word))


@functools.lru_cache(maxsize=1 << 17)
def _long_enough(word: str, min_letters: int) -> bool:
    return _letters(word) >= (1 if has_unspaced(word) else min_letters)


@functools.lru_cache(maxsize=1 << 17)
def _hash(word: str) -> int:
    return int(text_draws([word], 0, "word")[0])


def _blocks(batch: pa.RecordBatch) -> Blocks:
    links, bounds = _pairs(batch["links"], ("source", "target"))
    rows = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    return blocks(rows, links, batch["confidences"].flatten().to_numpy())


def occurs_once(values: Integers) -> npt.NDArray[np.bool_]:
    """Tell for each value whether it occurs once among them."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    once: npt.NDArray[np.bool_] = counts[inverse] == 1
    return once


def _pairs(lists: pa.ListArray, names: tuple[str, str]) -> tuple[Integers, Integers]:
    """Return a column of lists of two-field structs as (values (N, 2), bounds (rows + 1))."""
    bounds = lists.offsets.to_numpy().astype(np.int64)
    structs = lists.values.slice(bounds[0], bounds[-1] - bounds[0])
    return np.stack([structs.field(name).to_numpy() for name in names], axis=1).astype(np.int64), bounds - bounds[0]
