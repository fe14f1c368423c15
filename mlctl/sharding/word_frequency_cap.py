"""How many word pairs of one word are trained on: the recipe's limit, so that frequent words do not dominate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl.core.random import splitmix64
from mlctl.sharding.synthetic_cap import Draws

Integers = npt.NDArray[np.int64]

_ALL = np.uint64((1 << 64) - 1)
# Of a word's draws, those below its share are the lowest `most` and some more: standard deviations above the mean.
_SPARE = 6


@dataclass(frozen=True)
class Limit:
    """The word pairs of frequent words that are trained on: those whose draw is below the word's bound.

    Attributes:
        words: hashes of the words that have too many word pairs, ascending (W,).
        below: the bound of each (W,).
    """

    words: Draws
    below: Draws
    rule = "word frequency cap"

    @classmethod
    def of(cls, tables: Callable[[], Iterator[pa.Table]], most: int) -> Limit:
        """Find the limit that leaves each word `most` word pairs, or one or a few less.

        Args:
            tables: gives the rows of a language, anew at each call; `key` and `word_pair_words` are looked at.
            most: word pairs of a word.
        """
        words, counts = _too_many(tables(), most)
        share = (most + _SPARE * np.sqrt(most)) / counts
        spare = np.where(share < 1, (np.minimum(share, 1) * (1 << 63)).astype(np.uint64) * np.uint64(2), _ALL)
        limit = cls(words, spare)
        found = [limit._found(table) for table in tables()] if len(words) else []
        numbers = np.concatenate([np.empty(0, np.int64), *(numbers for numbers, _ in found)])
        draws = np.concatenate([np.empty(0, np.uint64), *(draws for _, draws in found)])
        order = np.lexsort((draws, numbers))
        numbers, draws = numbers[order], draws[order]
        # Word pairs of one text have one draw, so that the first one too many takes its equals along.
        first_too_many = np.searchsorted(numbers, np.arange(len(words))) + most
        there = first_too_many < np.searchsorted(numbers, np.arange(len(words)), side="right")
        below = spare.copy()
        below[there] = draws[first_too_many[there]]
        return cls(words, below)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the rows that have a word pair left, with the word pairs that are trained on."""
        if not len(self.words):
            return table
        kept, lengths = self._keeps(table)
        ends = np.concatenate([[0], np.cumsum(kept)])
        bounds = ends[np.concatenate([[0], np.cumsum(lengths)])]
        for name in ("word_pairs", "word_pair_words"):
            values = table[name].combine_chunks().flatten().filter(pa.array(kept))
            lists = pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), values, type=table.schema.field(name).type)
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), lists)
        return table.filter(pa.array(np.diff(bounds) > 0))

    def _keeps(self, table: pa.Table) -> tuple[npt.NDArray[np.bool_], Integers]:
        """Tell for each word pair whether it is trained on, and how many each row has."""
        numbers, draws, lengths = self._drawn(table)
        return (numbers < 0) | (draws < self.below[numbers]), lengths

    def _found(self, table: pa.Table) -> tuple[Integers, Draws]:
        """Return the numbers of frequent words and the draws of their word pairs, where these are below the bounds."""
        numbers, draws, _ = self._drawn(table)
        low = (numbers >= 0) & (draws < self.below[numbers])
        return numbers[low], draws[low]

    def _drawn(self, table: pa.Table) -> tuple[Integers, Draws, Integers]:
        """Return of each word pair its word's number among the frequent ones (−1: none) and its draw, and each row's word pairs."""
        words, lengths = _words(table)
        draws = splitmix64(np.repeat(table["key"].to_numpy(), lengths) ^ words)
        places = np.minimum(np.searchsorted(self.words, words), len(self.words) - 1)
        return np.where(self.words[places] == words, places, -1), draws, lengths


def _too_many(tables: Iterator[pa.Table], most: int) -> tuple[Draws, Integers]:
    """Return the words that have more than `most` word pairs, ascending, and how many they have."""
    words, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
    for table in tables:
        more, numbers = np.unique(_words(table)[0], return_counts=True)
        words, place = np.unique(np.concatenate([words, more]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, numbers]), len(words)).astype(np.int64)
    return words[counts > most], counts[counts > most]


def _words(table: pa.Table) -> tuple[Draws, Integers]:
    """Return the word of each word pair, and how many word pairs each row has."""
    lists = table["word_pair_words"].combine_chunks()
    return lists.flatten().to_numpy(), np.diff(lists.offsets.to_numpy()).astype(np.int64)
