"""Decontamination: finds training text that is also in an evaluation set, as the same text or as a passage of eight words.

A passage is eight consecutive words. In scripts without spaces, where characters stand for words, two characters of Han or kana
count as a word and four of Thai, Lao, Khmer or Myanmar. Memory holds the words and the hashes of the evaluation sets; it does not
grow with the training text.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl.core.random import GOLDEN, splitmix64
from mlctl.core.unicode_scripts import has_unspaced
from mlctl.sharding.text_identity import split_words, text_identities
from mlctl.sharding.word_codes import WordCodes

Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

PASSAGE_WORDS = 8

_log = logging.getLogger(__name__)
_BATCH_SENTENCES = 4096
# Lengths in quarters of a word.
_WORD, _HAN, _SOUTH_EAST_ASIAN = 4, 2, 1
_LAST_SOUTH_EAST_ASIAN = "\u17ff"
_BASE = int(GOLDEN)  # odd, so that it has an inverse modulo 2⁶⁴


class EvaluationText(NamedTuple):
    """Text of an evaluation set that must not be in the training text.

    Attributes:
        rule: name of the funnel's rule that drops pairs with it.
        name: name of the set, for the report.
        files: names of its files or languages, for the report.
        sentences: its text, iterated once.
    """

    rule: str
    name: str
    files: Sequence[str]
    sentences: Iterable[str]


class Vocabulary:
    """Ids of the words of evaluation sets; every other word is 0. Passages are hashed from ids."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._lengths = [_WORD]

    def add(self, words: Iterable[str]) -> None:
        """Assign ids to new words."""
        for word in words:
            if word not in self._ids:
                self._ids[word] = len(self._lengths)
                self._lengths.append(_length(word))

    @property
    def words(self) -> list[str]:
        """The words, in the order of their ids."""
        return list(self._ids)

    def passages(self, words: WordCodes) -> tuple[Hashes, Integers]:
        """Return the hashes (N,) of all passages of known words, and the sentence (N,) of each."""
        ids = words.each(lambda word: self._ids.get(word, 0), np.int64)
        if not len(ids):
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        rows = words.texts
        sentence_ends = np.searchsorted(rows, rows, side="right")  # of the sentence of each word
        offsets = np.concatenate([[0], np.cumsum(np.array(self._lengths)[ids])])
        ends = np.searchsorted(offsets, offsets[:-1] + PASSAGE_WORDS * _WORD)
        unknown_before = np.concatenate([[0], np.cumsum(ids == 0)])
        starts = np.flatnonzero(ends <= sentence_ends)
        starts = starts[unknown_before[ends[starts]] == unknown_before[starts]]
        return _range_hashes(ids, starts, ends[starts]), rows[starts]


@dataclass(frozen=True)
class IndexedSet:
    """One evaluation set: its rule, number of sentences, identities of its texts and hashes of its passages, both sorted."""

    rule: str
    sentences: int
    identities: Integers
    passages: Hashes


@dataclass(frozen=True)
class Match:
    """Which pairs of a batch match one set, by their whole text, or by a passage only. Each (rows,)."""

    text: Flags
    passage: Flags

    @property
    def either(self) -> Flags:
        """Pairs that match in either way."""
        either: Flags = self.text | self.passage
        return either


@dataclass(frozen=True)
class DecontaminationIndex:
    """All evaluation sets of a run, in the order in which pairs are checked."""

    vocabulary: Vocabulary
    sets: tuple[IndexedSet, ...]

    @classmethod
    def build(cls, sets: Iterable[EvaluationText]) -> DecontaminationIndex:
        """Read and index sets."""
        vocabulary = Vocabulary()
        return cls(vocabulary, tuple(index_set(item.rule, item.sentences, vocabulary) for item in sets))

    def with_set(self, position: int, rule: str, sentences: Iterable[str]) -> DecontaminationIndex:
        """Return the index with one more set, at a position in the order in which pairs are checked."""
        added = index_set(rule, sentences, self.vocabulary)
        return replace(self, sets=(*self.sets[:position], added, *self.sets[position:]))

    def have_text(self, batch: pa.RecordBatch, identities: Integers) -> Flags:
        """Return which pairs have, on either side, a text or a passage of any set; `identities` (rows, 2) are those of both sides."""
        matches = self.matches(batch, identities)
        found: Flags = np.logical_or.reduce([np.zeros(batch.num_rows, np.bool_), *(match.either for match in matches)])
        return found

    def matches(self, batch: pa.RecordBatch, identities: Integers) -> list[Match]:
        """Return for each set which pairs have, on either side, one of its texts or passages; `identities` (rows, 2) of both sides."""
        if not self.sets:
            return []
        sides = [
            _Side(of_side, *self.vocabulary.passages(split_words(batch[name].to_pylist())))
            for name, of_side in zip(("source", "target"), identities.T, strict=True)
        ]
        matches = []
        for indexed in self.sets:
            text, passage = (np.logical_or(*flags) for flags in zip(*(side.match(indexed) for side in sides), strict=True))
            matches.append(Match(text, passage & ~text))
        return matches


@dataclass(frozen=True)
class _Side:
    """One side of a batch: identities of its texts (rows,), hashes of its passages (N,) and the row of each (N,)."""

    identities: Integers
    passages: Hashes
    rows: Integers

    def match(self, indexed: IndexedSet) -> tuple[Flags, Flags]:
        """Return which texts equal one of a set, and which share a passage with it."""
        passage = np.zeros(len(self.identities), bool)
        passage[self.rows[_is_in(self.passages, indexed.passages)]] = True
        return _is_in(self.identities, indexed.identities), passage


def index_set(rule: str, sentences: Iterable[str], vocabulary: Vocabulary) -> IndexedSet:
    """Index one set; its words are added to the vocabulary."""
    count, identities, passages = 0, [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    remaining = iter(sentences)
    while texts := list(itertools.islice(remaining, _BATCH_SENTENCES)):
        words = split_words(texts)
        vocabulary.add(words.distinct)
        identities.append(text_identities(texts))
        passages.append(vocabulary.passages(words)[0])
        count += len(texts)
    indexed = IndexedSet(rule, count, np.unique(np.concatenate(identities)), np.unique(np.concatenate(passages)))
    _log.info("%s: %d sentences with %d passages are kept out of training", rule, count, len(indexed.passages))
    return indexed


def _length(word: str) -> int:
    if not has_unspaced(word):
        return _WORD
    return _SOUTH_EAST_ASIAN if word <= _LAST_SOUTH_EAST_ASIAN else _HAN


def _is_in(values: npt.NDArray[np.generic], ordered: npt.NDArray[np.generic]) -> Flags:
    """Return for each value whether it is among the ordered ones."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    indices = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    is_in: Flags = ordered[indices] == values
    return is_in


def _range_hashes(ids: Integers, starts: Integers, ends: Integers) -> Hashes:
    """Return a hash of the ids of each range [start, end): a polynomial modulo 2⁶⁴, from prefix sums over the whole batch."""
    with np.errstate(over="ignore"):
        powers = _powers(_BASE, len(ids))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_spread(ids) * powers, dtype=np.uint64)])
        hashes: Hashes = (sums[ends] - sums[starts]) * _powers(pow(_BASE, -1, 1 << 64), len(ids))[starts]
    return hashes


def _powers(base: int, count: int) -> Hashes:
    powers = np.full(count, base, np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)


def _spread(ids: Integers) -> Hashes:
    """Spread small numbers over 64 bits."""
    return splitmix64(ids.astype(np.uint64) * GOLDEN)
