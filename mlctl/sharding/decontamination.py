"""Training text that an evaluation set has too: the same text, or a passage of eight words.

A passage is eight words in a row. In scripts without spaces, where characters stand for words, two characters of Han or kana
count as a word and four of Thai, Lao, Khmer or Myanmar. What is kept in memory are the words and the hashes of the evaluation
sets: it does not grow with the training text.
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
from mlctl.sharding import texts

Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

WORDS = 8  # of a passage

_log = logging.getLogger(__name__)
_READ_AT_ONCE = 4096
# Quarters of a word.
_WORD, _HAN, _SOUTH_EAST = 4, 2, 1
_LAST_SOUTH_EAST = "\u17ff"
_BASE = int(GOLDEN)  # odd, so that it can be inverted modulo 2⁶⁴


class Vocabulary:
    """Numbers for the words of evaluation sets; every other word is 0. Numbers have a hash and a length each."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._lengths = [_WORD]

    def add(self, pieces: Iterable[str]) -> None:
        """Give numbers to words that have none."""
        for piece in pieces:
            if piece not in self._numbers:
                self._numbers[piece] = len(self._lengths)
                self._lengths.append(_length(piece))

    def passages(self, sentences: Sequence[Sequence[str]]) -> tuple[Hashes, Integers]:
        """Return the hashes (N,) of all passages of known words, and the sentence (N,) that each stands in."""
        numbers = np.fromiter((self._numbers.get(piece, 0) for pieces in sentences for piece in pieces), np.int64)
        if not len(numbers):
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        rows = np.repeat(np.arange(len(sentences)), list(map(len, sentences)))
        last = np.searchsorted(rows, rows, side="right")  # where each word's sentence ends
        reach = np.concatenate([[0], np.cumsum(np.array(self._lengths)[numbers])])
        ends = np.searchsorted(reach, reach[:-1] + WORDS * _WORD)
        strange = np.concatenate([[0], np.cumsum(numbers == 0)])
        starts = np.flatnonzero(ends <= last)
        starts = starts[strange[ends[starts]] == strange[starts]]
        return _hashes(numbers, starts, ends[starts]), rows[starts]


class Unseen(NamedTuple):
    """Text that training must not see.

    Attributes:
        rule: name of the rule that drops what has it.
        name: of the set, for people.
        files: names of the files or languages that it is from, for people.
        sentences: its text, read once.
    """

    rule: str
    name: str
    files: Sequence[str]
    sentences: Iterable[str]


@dataclass(frozen=True)
class Known:
    """What is known of one evaluation set: the rule's name, identities of its texts and hashes of its passages, sorted."""

    name: str
    sentences: int
    identities: Integers
    passages: Hashes


@dataclass(frozen=True)
class Match:
    """Which pairs of a batch one set has: by their whole text, or by a passage only. Each (rows,)."""

    exact: Flags
    passage: Flags

    @property
    def either(self) -> Flags:
        """Pairs that the set has at all."""
        found: Flags = self.exact | self.passage
        return found


@dataclass(frozen=True)
class Screen:
    """All evaluation sets of a run, in the order in which they are asked."""

    vocabulary: Vocabulary
    sets: tuple[Known, ...]

    @classmethod
    def of(cls, sets: Iterable[Unseen]) -> Screen:
        """Read the sets of a recipe."""
        vocabulary = Vocabulary()
        return cls(vocabulary, tuple(known(one.rule, one.sentences, vocabulary) for one in sets))

    def with_first(self, name: str, sentences: Iterable[str]) -> Screen:
        """Return the same with one more set, asked before the others."""
        return replace(self, sets=(known(name, sentences, self.vocabulary), *self.sets))

    def matches(self, batch: pa.RecordBatch) -> list[Match]:
        """Return for each set which pairs have, on either side, one of its texts or passages."""
        if not self.sets:
            return []
        sides = [_Side.of(batch[name].to_pylist(), self.vocabulary) for name in ("source", "target")]
        found = []
        for one in self.sets:
            exact, passage = (np.logical_or(*flags) for flags in zip(*(side.match(one) for side in sides), strict=True))
            found.append(Match(exact, passage & ~exact))
        return found


@dataclass(frozen=True)
class _Side:
    """One side of a batch: identities of its texts (rows,), hashes of its passages (N,) and the row of each (N,)."""

    identities: Integers
    passages: Hashes
    rows: Integers

    @classmethod
    def of(cls, lines: list[str], vocabulary: Vocabulary) -> _Side:
        return cls(texts.identities(lines), *vocabulary.passages([texts.pieces(line) for line in lines]))

    def match(self, one: Known) -> tuple[Flags, Flags]:
        passage = np.zeros(len(self.identities), bool)
        passage[self.rows[_among(self.passages, one.passages)]] = True
        return _among(self.identities, one.identities), passage


def known(name: str, sentences: Iterable[str], vocabulary: Vocabulary) -> Known:
    """Take in one set; its words are added to the vocabulary."""
    count, identities, passages = 0, [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    waiting = iter(sentences)
    while lines := list(itertools.islice(waiting, _READ_AT_ONCE)):
        pieces = [texts.pieces(line) for line in lines]
        vocabulary.add(itertools.chain.from_iterable(pieces))
        identities.append(texts.identities(lines))
        passages.append(vocabulary.passages(pieces)[0])
        count += len(lines)
    found = Known(name, count, np.unique(np.concatenate(identities)), np.unique(np.concatenate(passages)))
    _log.info("%s: %d sentences with %d passages are kept out of training", name, count, len(found.passages))
    return found


def _length(piece: str) -> int:
    if not has_unspaced(piece):
        return _WORD
    return _SOUTH_EAST if piece <= _LAST_SOUTH_EAST else _HAN


def _among(values: npt.NDArray[np.generic], ordered: npt.NDArray[np.generic]) -> Flags:
    """Tell which values are among the ordered ones."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    places = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    found: Flags = ordered[places] == values
    return found


def _hashes(numbers: Integers, starts: Integers, ends: Integers) -> Hashes:
    """Return a hash for the numbers of each range: a polynomial modulo 2⁶⁴, from sums over the whole batch."""
    with np.errstate(over="ignore"):
        powers = _powers(_BASE, len(numbers))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mixed(numbers) * powers, dtype=np.uint64)])
        found: Hashes = (sums[ends] - sums[starts]) * _powers(pow(_BASE, -1, 1 << 64), len(numbers))[starts]
    return found


def _powers(base: int, count: int) -> Hashes:
    powers = np.full(count, base, np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)


def _mixed(numbers: Integers) -> Hashes:
    """Spread small numbers over 64 bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    return splitmix64(numbers.astype(np.uint64) * GOLDEN)
