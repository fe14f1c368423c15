"""The word pairs of aligned pairs that are trained on: of content words, or of all words."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl.core.random import text_draws
from mlctl.core.unicode_scripts import has_unspaced
from mlctl.core.word_forms import normalise_word
from mlctl.sharding.phrase_blocks import PhraseBlocks, find_blocks
from mlctl.sharding.word_codes import WordCodes, cut_words

MAX_BLOCK_WORDS = 4  # of one side: longer blocks are mostly words that an aligner could not separate
BATCH_ROWS = 4096  # rows in memory at a time

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SideWords:
    """The words of one side of a batch: texts (rows), word ranges (words, 2), and the words, case-folded."""

    texts: list[str]
    ranges: Integers
    words: WordCodes

    @classmethod
    def of(cls, batch: pa.RecordBatch, name: str) -> SideWords:
        """Read the side `name`, "source" or "target"."""
        ranges, bounds = _struct_lists(batch[f"{name}_words"], ("start", "end"))
        written = WordCodes.encode(cut_words(batch[name], ranges, bounds), bounds)
        return cls(batch[name].to_pylist(), ranges, written.mapped(str.casefold))

    @property
    def bounds(self) -> Integers:
        """Where each row's words begin, and the end of the last (rows + 1,)."""
        return self.words.bounds

    def word(self, row: int, index: int) -> str:
        """Return a word of a row as it is written."""
        start, end = self.ranges[self.bounds[row] + index].tolist()
        return self.texts[row][start:end]


@dataclass(frozen=True)
class WordPairs:
    """Word pairs of words or of blocks of words, sentence by sentence.

    Attributes:
        rows: the row of each (N,).
        source, target: its words [first, end) on each side, as indices into the words of the batch (N, 2).
        words: a hash of its source words, case-folded (N,).
    """

    rows: Integers
    source: Integers
    target: Integers
    words: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class ContentWords:
    """The rules for the word pairs of one language pair.

    Attributes:
        source_stop_words, target_stop_words: frequent words, case-folded, that are not content words.
        min_letters: letters that a content word has at least; 1 in scripts without spaces.
        blocks: whether several adjacent words that are only linked to each other form a word pair, too.
        min_confidence: mean confidence of its links that a word pair has at least.
        all_words: whether function words and words that occur several times in their sentence form word pairs, too.
        translations: the translation of each word, in normal form, that a lexicon confirms; None: word pairs need no confirmation.
    """

    source_stop_words: frozenset[str]
    target_stop_words: frozenset[str]
    min_letters: int
    blocks: bool
    min_confidence: float
    all_words: bool = False
    translations: Mapping[str, str] | None = None

    def word_pairs(self, batch: pa.RecordBatch, source: SideWords, target: SideWords) -> WordPairs:
        """Return the word pairs of words that are only linked to each other: of content words that occur once in their sentences, or of all.

        A block begins and ends with such a word on both sides. The words inside may be any (`pomme de terre`), but a function word at
        an end (`la maison`) would teach that it belongs to the other word.
        """
        blocks = _blocks(batch)
        selected = blocks.confidence >= np.float32(self.min_confidence)
        word_ranges = []
        for side, ranges, stop_words in (
            (source, blocks.source, self.source_stop_words),
            (target, blocks.target, self.target_stop_words),
        ):
            usable, batch_ranges = self._usable(side.words, stop_words), side.bounds[blocks.rows, None] + ranges
            selected &= ranges[:, 1] - ranges[:, 0] <= (MAX_BLOCK_WORDS if self.blocks else 1)
            selected &= usable[batch_ranges[:, 0]] & usable[batch_ranges[:, 1] - 1]
            word_ranges.append(batch_ranges)
        if self.translations is not None:
            selected &= self._confirmed(source, target, blocks, selected)
        source_ranges, target_ranges = (ranges[selected] for ranges in word_ranges)
        return WordPairs(blocks.rows[selected], source_ranges, target_ranges, _hashes(source.words, source_ranges))

    def _usable(self, words: WordCodes, stop_words: frozenset[str]) -> npt.NDArray[np.bool_]:
        """Return for each word of the batch whether a word pair may begin or end with it."""
        if self.all_words:
            return words.each(lambda word: any(map(str.isalnum, word)), np.bool_)
        usable = words.each(lambda word: word not in stop_words and _long_enough(word, self.min_letters), np.bool_)
        once: npt.NDArray[np.bool_] = usable & occurs_once(words.texts * len(words.distinct) + words.codes)
        return once

    def _confirmed(
        self, source: SideWords, target: SideWords, blocks: PhraseBlocks, selected: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Return which of the selected blocks are two single words that the lexicon has as each other's translation."""
        translations = self.translations or {}
        confirmed: npt.NDArray[np.bool_] = selected & (np.diff(blocks.source)[:, 0] == 1) & (np.diff(blocks.target)[:, 0] == 1)
        for index in np.flatnonzero(confirmed).tolist():
            row = blocks.rows[index]
            word, translation = (
                normalise_word(side.word(row, int(ranges[index, 0])))
                for side, ranges in ((source, blocks.source), (target, blocks.target))
            )
            confirmed[index] = translations.get(word) == translation
        return confirmed


def count_words(counts: Counter[str], words: WordCodes) -> None:
    """Count the words that have letters."""
    occurrences = np.bincount(words.codes, minlength=len(words.distinct)).tolist()
    counts.update({word: count for word, count in zip(words.distinct, occurrences, strict=True) if _letters(word)})


def occurs_once(values: Integers) -> npt.NDArray[np.bool_]:
    """Return for each value whether it occurs only once."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    once: npt.NDArray[np.bool_] = counts[inverse] == 1
    return once


@functools.lru_cache(maxsize=1 << 17)
def _letters(word: str) -> int:
    return sum(map(str.isalpha, word))


@functools.lru_cache(maxsize=1 << 17)
def _long_enough(word: str, min_letters: int) -> bool:
    return _letters(word) >= (1 if has_unspaced(word) else min_letters)


@functools.lru_cache(maxsize=1 << 17)
def _hash(word: str) -> int:
    return int(text_draws([word], 0, "word")[0])


def _hashes(words: WordCodes, ranges: Integers) -> npt.NDArray[np.uint64]:
    """Return a hash of the words in each range [first, end), joined by spaces (N,)."""
    hashes = np.empty(len(ranges), np.uint64)
    is_one = ranges[:, 1] - ranges[:, 0] == 1
    codes, inverse = np.unique(words.codes[ranges[is_one, 0]], return_inverse=True)
    hashes[is_one] = np.array([_hash(words.distinct[code]) for code in codes.tolist()], np.uint64)[inverse]
    for index in np.flatnonzero(~is_one).tolist():
        first, end = ranges[index]
        hashes[index] = _hash(" ".join(words.distinct[code] for code in words.codes[first:end].tolist()))
    return hashes


def _blocks(batch: pa.RecordBatch) -> PhraseBlocks:
    links, bounds = _struct_lists(batch["links"], ("source", "target"))
    rows = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    return find_blocks(rows, links, batch["confidences"].flatten().to_numpy())


def _struct_lists(lists: pa.ListArray, names: tuple[str, str]) -> tuple[Integers, Integers]:
    """Return a column of lists of two-field structs as (values (N, 2), bounds (rows + 1))."""
    bounds = lists.offsets.to_numpy().astype(np.int64)
    structs = lists.values.slice(bounds[0], bounds[-1] - bounds[0])
    return np.stack([structs.field(name).to_numpy() for name in names], axis=1).astype(np.int64), bounds - bounds[0]
