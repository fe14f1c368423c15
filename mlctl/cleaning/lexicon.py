"""Which words translate which, learned from the pairs themselves (IBM model 1), to tell translations from pairs that do not belong.

Words are cut to their first letters (endings make many forms of few words); the most frequent ones have a number each, all others none:
tables are dense, so that their size is fixed, whatever the size of the corpus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import regex  # type: ignore[import-untyped]

from mlctl.cleaning.characters import comparable
from mlctl.core.unicode_scripts import UNSPACED

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Table = npt.NDArray[np.float32]

_NUMBERED = 3072  # words of each side that have a number; a table takes so many squared times 4 bytes
_LETTERS = 5
_LEAST_SEEN = 3
_MOST_WORDS = 60
_ROUNDS = 4
_PIECE = 2048
_NULL = 0.1  # share of words that come from nowhere
_DOUBT = 0.5  # as many words of each kind are taken to have come from everywhere
_FLOOR, _CEILING = -2.5, 4.0  # one word alone neither damns nor saves a pair
_WORD = regex.compile(rf"[{UNSPACED}]|[\p{{L}}\p{{M}}\p{{N}}--[{UNSPACED}]]+", regex.V1)


class Tokens(NamedTuple):
    """Word numbers of many texts: those of text i are `words[starts[i] : starts[i + 1]]`."""

    words: Ints
    starts: Ints

    @property
    def counts(self) -> Ints:
        """Return the number of words of each text."""
        return np.diff(self.starts)

    def some(self, first: int, last: int) -> Tokens:
        """Return texts `first` to `last` (not counted)."""
        starts = self.starts[first : last + 1]
        return Tokens(self.words[starts[0] : starts[-1]], starts - starts[0])


class Vocabulary:
    """Numbers of the most frequent words of one side."""

    def __init__(self, words: Iterable[str]) -> None:
        self._numbers = {word: number for number, word in enumerate(words)}

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], known: Set[str] = frozenset()) -> Vocabulary:
        """Return the vocabulary of texts in words: those that are frequent, and those `known` from elsewhere however rare they are."""
        frequent, rare = _by_frequency(texts)
        return cls([*frequent, *(word for word in rare if word in known)][:_NUMBERED])

    @property
    def words(self) -> list[str]:
        """Return the words in the order of their numbers."""
        return list(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, word: object) -> bool:
        return word in self._numbers

    def tokens(self, texts: Iterable[Sequence[str]]) -> Tokens:
        """Return the numbers of the known words of each text."""
        get = self._numbers.get
        numbers = [[number for word in words if (number := get(word)) is not None] for words in texts]
        starts = np.cumsum([0, *map(len, numbers)], dtype=np.int64)
        return Tokens(np.array([number for text in numbers for number in text], dtype=np.int64), starts)


@dataclass(frozen=True)
class _WordPairs:
    """Every word of a text with every word of its translation, those of one made word side by side."""

    cells: Ints  # places in the table
    first: Ints  # where each made word's word pairs begin
    widths: Ints  # how many each made word has; at least one
    made: Ints  # the made words' numbers
    owner: Ints  # the text that each made word is in

    @classmethod
    def of(cls, given: Tokens, made: Tokens, size: int) -> _WordPairs:
        """Return the word pairs; made words whose text has no known word on the other side are left out."""
        owner = np.repeat(np.arange(len(made.counts)), made.counts)
        widths = given.counts[owner]
        owner, words, widths = owner[widths > 0], made.words[widths > 0], widths[widths > 0]
        first = np.cumsum(widths) - widths
        place = np.arange(widths.sum()) - np.repeat(first - given.starts[owner], widths)
        return cls(given.words[place] * size + np.repeat(words, widths), first, widths, words, owner)


class Prior(NamedTuple):
    """Word pairs that count as if they had been seen, though they are not from the texts at hand: of a Dirichlet distribution.

    Attributes:
        counts: of each given word, with each made word (V, W).
        weights: what one such word pair of each given word counts (V, 1).
    """

    counts: Table
    weights: Table


class Direction:
    """IBM model 1: how likely each word of one side makes each word of the other."""

    def __init__(self, usual: Floats, table: Table) -> None:
        self._usual = usual  # of each made word
        self._table = table  # of each given word, for each made word

    @classmethod
    def learned(cls, given: Tokens, made: Tokens, sizes: tuple[int, int], prior: Prior | None = None) -> Direction:
        """Learn from texts and their translations, and from what was known before; `sizes` are those of the vocabularies."""
        usual = (np.bincount(made.words, minlength=sizes[1]) + 1.0) / (len(made.words) + sizes[1])
        direction = cls(usual, np.tile(usual.astype(np.float32), sizes[0]))
        if prior:
            direction._learn((), direction._table, prior)
        pieces, spare = list(_pieces(given, made, sizes[1])), np.empty_like(direction._table)
        for _ in range(_ROUNDS):
            spare = direction._learn(pieces, spare, prior)
        return direction

    @classmethod
    def load(cls, path: Path) -> Direction:
        """Return what was saved; the table stays on disk, its pages shared by all processes that use it."""
        return cls(np.load(path / "usual.npy"), np.asarray(np.load(path / "table.npy", mmap_mode="r")))

    def save(self, path: Path) -> None:
        """Write the model into a new folder."""
        path.mkdir()
        np.save(path / "usual.npy", self._usual)
        np.save(path / "table.npy", self._table)

    def scores(self, given: Tokens, made: Tokens) -> Floats:
        """Return for each text the sum over its known words of log p(word | other side) / p(word)."""
        word_pairs = _WordPairs.of(given, made, len(self._usual))
        ratio = np.log((1 - _NULL) * self._mean(word_pairs) / self._usual[word_pairs.made] + _NULL)
        sums: Floats = np.bincount(word_pairs.owner, np.clip(ratio, _FLOOR, _CEILING), minlength=len(made.counts)).astype(
            np.float64
        )
        return sums

    def _learn(self, pieces: Sequence[_WordPairs], counts: Table, prior: Prior | None) -> Table:
        """Learn once from all pieces, into the table `counts`; return the table that this was done with, for the next time."""
        rows = counts.reshape(-1, len(self._usual))
        if prior:
            np.multiply(prior.counts, prior.weights, out=rows)
        else:
            rows.fill(0)
        for word_pairs in pieces:
            whole = word_pairs.widths * (self._mean(word_pairs) * (1 - _NULL) + self._usual[word_pairs.made] * _NULL)
            share = self._table[word_pairs.cells] * np.repeat(((1 - _NULL) / whole).astype(np.float32), word_pairs.widths)
            np.add.at(counts, word_pairs.cells, share)
        rows += (_DOUBT * self._usual).astype(np.float32)
        rows /= rows.sum(axis=1, keepdims=True)
        before, self._table = self._table, counts
        return before

    def _mean(self, word_pairs: _WordPairs) -> Floats:
        if not len(word_pairs.cells):
            return np.zeros(0)
        return np.add.reduceat(self._table[word_pairs.cells], word_pairs.first, dtype=np.float64) / word_pairs.widths


def words_of(text: str) -> list[str]:
    """Return the words and numbers of a text as the model counts them: case-folded beginnings; letters where words are not spaced."""
    return [word[:_LETTERS] for word in _WORD.findall(comparable(text))[:_MOST_WORDS]]


def candidates(texts: Iterable[Sequence[str]]) -> list[str]:
    """Return, sorted, the words of texts that can be in their vocabulary, depending on what is known from elsewhere."""
    frequent, rare = _by_frequency(texts)
    return sorted(frequent[:_NUMBERED] if len(frequent) >= _NUMBERED else frequent + rare)


def _by_frequency(texts: Iterable[Sequence[str]]) -> tuple[list[str], list[str]]:
    """Return the words that are in enough texts to have a number, and all others, most frequent first."""
    counts = Counter(word for words in texts for word in set(words))
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    enough = sum(count >= _LEAST_SEEN for count in counts.values())
    return ordered[:enough], ordered[enough:]


def _pieces(given: Tokens, made: Tokens, size: int) -> Iterator[_WordPairs]:
    for first in range(0, len(made.counts), _PIECE):
        last = min(first + _PIECE, len(made.counts))
        yield _WordPairs.of(given.some(first, last), made.some(first, last), size)
