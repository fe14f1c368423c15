"""Words of aligned pairs: which are content words, and which couples of them can be learnt from."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.scripts import has_unspaced

ROWS = 4096  # of a batch: what is held in memory at a time

Integers = npt.NDArray[np.int64]


def batches(file: Path, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file in record batches."""
    with pq.ParquetFile(file) as parquet:
        yield from parquet.iter_batches(batch_size=rows)


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
class Couples:
    """Couples of words: the row of each (N,), and the number of its word on each side, counted through the batch (N,)."""

    rows: Integers
    source: Integers
    target: Integers


@dataclass(frozen=True)
class ContentWords:
    """What makes a word of one pair of languages worth learning from.

    Attributes:
        source_stops, target_stops: frequent words, case-folded, that are not content words.
        min_letters: letters that a content word has at least; 1 in scripts without spaces.
    """

    source_stops: frozenset[str]
    target_stops: frozenset[str]
    min_letters: int

    def couples(self, batch: pa.RecordBatch) -> Couples:
        """Return the couples of content words that are linked to each other alone and stand once in their sentences."""
        source, target = Side.of(batch, "source"), Side.of(batch, "target")
        rows, links = _one_to_one(batch["links"])
        usable = self._usable(source.words(), self.source_stops), self._usable(target.words(), self.target_stops)
        first = source.bounds[rows] + links[:, 0], target.bounds[rows] + links[:, 1]
        good = usable[0][first[0]] & usable[1][first[1]]
        return Couples(rows[good], first[0][good], first[1][good])

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


def _one_to_one(links: pa.ListArray) -> tuple[Integers, Integers]:
    """Return rows (N,) and word indices (N, 2) of the links whose words have no other link."""
    pairs, bounds = _pairs(links, ("source", "target"))
    rows = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    alone = [occurs_once(rows << 32 | pairs[:, side]) for side in (0, 1)]
    kept = alone[0] & alone[1]
    return rows[kept], pairs[kept]


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
