"""The cap on the word pairs of one word: at most `shard.word_frequency_cap`, so that frequent words do not dominate."""

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
# The draws below a word's share are the lowest `max_word_pairs` and some more: standard deviations above the mean.
_MARGIN_DEVIATIONS = 6
# Of each word's draws: the more, the fewer draws are in memory at the same time.
_BINS = 128


@dataclass(frozen=True)
class WordFrequencyCap:
    """Keeps the word pairs of frequent words whose random draw is below the word's bound; a row filter.

    Attributes:
        words: hashes of the words that have too many word pairs, ascending (W,).
        below: the bound of each (W,).
    """

    words: Draws
    below: Draws
    rule = "word frequency cap"

    @classmethod
    def fit(cls, tables: Callable[[], Iterator[pa.Table]], max_word_pairs: int) -> WordFrequencyCap:
        """Return the cap that keeps `max_word_pairs` word pairs of each word, or one or a few less.

        Args:
            tables: returns the rows of a language, anew at each call, with the columns `key` and `word_pair_words`.
            max_word_pairs: word pairs of a word.
        """
        words, counts = _frequent_words(tables(), max_word_pairs)
        share = (max_word_pairs + _MARGIN_DEVIATIONS * np.sqrt(max_word_pairs)) / counts
        margin = np.where(share < 1, (np.minimum(share, 1) * (1 << 63)).astype(np.uint64) * np.uint64(2), _ALL)
        candidates = cls(words, margin)
        return cls(words, candidates._lowered(tables, max_word_pairs)) if len(words) else candidates

    def _lowered(self, tables: Callable[[], Iterator[pa.Table]], max_word_pairs: int) -> Draws:
        """Return the bound of each word, (W,), below which there are `max_word_pairs` draws; its own if there are no more below that.

        The draws of all words do not fit into memory: those below the bounds are counted by bin, then only the bin with the draw that is
        looked for is read.
        """
        width = self.below // np.uint64(_BINS) + np.uint64(1)
        counts = np.zeros(len(self.words) * _BINS, np.int32)
        for table in tables():
            indices, draws = self._draws_below_bound(table)
            counts += np.bincount(indices * _BINS + (draws // width[indices]).astype(np.int64), minlength=len(counts)).astype(
                np.int32
            )
        before = counts.reshape(-1, _BINS).cumsum(1)
        over_cap = before[:, -1] > max_word_pairs
        chosen = np.where(over_cap, (before > max_word_pairs).argmax(1), -1)
        indices, draws = self._draws_in_bins(tables(), width, chosen)
        # Word pairs with the same text have the same draw: if the first one over the cap is dropped, its equals are, too.
        first = np.searchsorted(indices, np.flatnonzero(over_cap))
        skipped = np.where(chosen > 0, np.take_along_axis(before, np.maximum(chosen - 1, 0)[:, None], 1)[:, 0], 0)[over_cap]
        below = self.below.copy()
        below[over_cap] = draws[first + max_word_pairs - skipped]
        return below

    def _draws_in_bins(self, tables: Iterator[pa.Table], width: Draws, chosen: Integers) -> tuple[Integers, Draws]:
        """Return the draws in one bin of each word (−1: none) with the indices of their words, in ascending order."""
        parts = [(np.empty(0, np.int64), np.empty(0, np.uint64))]
        for table in tables:
            indices, draws = self._draws_below_bound(table)
            inside = (draws // width[indices]).astype(np.int64) == chosen[indices]
            parts.append((indices[inside], draws[inside]))
        indices, draws = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((draws, indices))
        return indices[order], draws[order]

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the rows that keep a word pair, with the word pairs that are kept."""
        if not len(self.words):
            return table
        kept, lengths = self._keeps(table)
        kept_before = np.concatenate([[0], np.cumsum(kept)])
        bounds = kept_before[np.concatenate([[0], np.cumsum(lengths)])]
        for name in ("word_pairs", "word_pair_words"):
            values = table[name].combine_chunks().flatten().filter(pa.array(kept))
            lists = pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), values, type=table.schema.field(name).type)
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), lists)
        return table.filter(pa.array(np.diff(bounds) > 0))

    def _keeps(self, table: pa.Table) -> tuple[npt.NDArray[np.bool_], Integers]:
        """Return for each word pair whether it is kept, and the number of word pairs of each row."""
        indices, draws, lengths = self._draws(table)
        return (indices < 0) | (draws < self.below[indices]), lengths

    def _draws_below_bound(self, table: pa.Table) -> tuple[Integers, Draws]:
        """Return the indices of frequent words and the draws of their word pairs, where these are below the bounds."""
        indices, draws, _ = self._draws(table)
        below = (indices >= 0) & (draws < self.below[indices])
        return indices[below], draws[below]

    def _draws(self, table: pa.Table) -> tuple[Integers, Draws, Integers]:
        """Return for each word pair the index of its word in `words` (−1: not there) and its draw, and each row's number of word pairs."""
        words, lengths = _words(table)
        draws = splitmix64(np.repeat(table["key"].to_numpy(), lengths) ^ words)
        indices = np.minimum(np.searchsorted(self.words, words), len(self.words) - 1)
        return np.where(self.words[indices] == words, indices, -1), draws, lengths


def _frequent_words(tables: Iterator[pa.Table], max_word_pairs: int) -> tuple[Draws, Integers]:
    """Return the words that have more than `max_word_pairs` word pairs, ascending, and how many they have."""
    words, counts = np.empty(0, np.uint64), np.empty(0, np.int64)
    for table in tables:
        table_words, table_counts = np.unique(_words(table)[0], return_counts=True)
        words, index = np.unique(np.concatenate([words, table_words]), return_inverse=True)
        counts = np.bincount(index, np.concatenate([counts, table_counts]), len(words)).astype(np.int64)
    return words[counts > max_word_pairs], counts[counts > max_word_pairs]


def _words(table: pa.Table) -> tuple[Draws, Integers]:
    """Return the hash of the source word of each word pair, and the number of word pairs of each row."""
    lists = table["word_pair_words"].combine_chunks()
    return lists.flatten().to_numpy(), np.diff(lists.offsets.to_numpy()).astype(np.int64)
