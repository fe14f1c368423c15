"""What an earlier word alignment knows of which words translate which, in the words that the likelihood model counts."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.cleaning.lexicon import Ints, Table, Vocabulary, words_of
from mlctl.errors import InputError

_ROWS = 1 << 16  # of the lexicon, read at a time
_MOST_PARTS = 4  # words of ours in one of the lexicon's, which has whole words where words are not spaced
_REMEMBERED = 1 << 16

_MOST_LINKS = 10.0  # of a word: chosen on news against the health texts, with lexicons of news and of the Bible

Texts = tuple[Sequence[Sequence[str]], Sequence[Sequence[str]]]
Parts = Callable[[str], list[int]]


class Links(NamedTuple):
    """Pairs of words and how often one was linked to the other: word numbers of both sides and counts, each (N,)."""

    sources: Ints
    targets: Ints
    counts: npt.NDArray[np.float32]


class Earlier:
    """The part of a lexicon whose words are in play.

    Attributes:
        known: of each side, the words that have links.
        pairs: how many pairs like those at hand teach as much.
    """

    def __init__(self, texts: Texts, links: Links, total: float) -> None:
        """Take links between the sorted words of texts, and how many the whole lexicon has."""
        self._links = links
        self._words = _different(texts[0]), _different(texts[1])
        self.known = _some(self._words[0], links.sources), _some(self._words[1], links.targets)
        running = list(itertools.chain.from_iterable(texts[0]))
        share = sum(word in self.known[0] for word in running) / max(1, len(running))
        self.pairs = share * total * len(texts[0]) / max(1, len(running))

    @classmethod
    def read(cls, file: Path, texts: Texts) -> Earlier:
        """Read a lexicon (schema LEXICON) batch by batch, keeping what has a word of `texts`, in words, on both sides.

        Raises:
            InputError: the file is no lexicon.
        """
        ours, theirs = _parts(texts[0]), _parts(texts[1])
        found, total = [_NOTHING], 0.0
        try:
            for batch in pq.ParquetFile(file, read_dictionary=["source", "target"]).iter_batches(_ROWS, columns=_COLUMNS):
                found += _links(batch, ours, theirs)
                total += float(np.asarray(batch["count"]).sum(dtype=np.float64))
        except (OSError, KeyError, ValueError) as error:  # Arrow's own errors are among these
            raise InputError(f"{file}: no lexicon that can be read ({error})", "name another align result, or none") from error
        return cls(texts, Links(*map(np.concatenate, zip(*found, strict=True))), total)

    def counts(self, vocabularies: tuple[Vocabulary, Vocabulary]) -> tuple[Table, Table]:
        """Return how often each numbered word was linked to each of the other side, (V, W) forward and (W, V) backward.

        A word's links are scaled down to some, so that the text at hand has a say.
        """
        ours, theirs = (_numbers(words, own) for words, own in zip(self._words, vocabularies, strict=True))
        table = np.zeros((len(vocabularies[0]), len(vocabularies[1])), dtype=np.float32)
        sources, targets = ours[self._links.sources], theirs[self._links.targets]
        there = (sources >= 0) & (targets >= 0)
        np.add.at(table, (sources[there], targets[there]), self._links.counts[there])
        return _bounded(table), _bounded(table.T)


_COLUMNS = ["source", "target", "count"]
_NOTHING = Links(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


def _bounded(table: Table) -> Table:
    most = np.maximum(table.sum(axis=1, keepdims=True) / np.float32(_MOST_LINKS), np.float32(1))
    return np.ascontiguousarray(table / most)


def _different(texts: Iterable[Sequence[str]]) -> list[str]:
    return sorted(set(itertools.chain.from_iterable(texts)))


def _some(words: Sequence[str], numbers: Ints) -> frozenset[str]:
    return frozenset(words[number] for number in np.unique(numbers).tolist())


def _numbers(words: Sequence[str], vocabulary: Vocabulary) -> Ints:
    numbers = {word: number for number, word in enumerate(vocabulary.words)}
    return np.array([numbers.get(word, -1) for word in words], dtype=np.int64)


def _parts(texts: Iterable[Sequence[str]]) -> Parts:
    """Return what tells the places, in the sorted words of texts, of the words that a word of the lexicon is made of; -1: in none."""
    numbers = {word: number for number, word in enumerate(_different(texts))}

    @functools.lru_cache(_REMEMBERED)
    def parts(word: str) -> list[int]:
        found = words_of(word)
        return [-1 if _has_digit(part) else numbers.get(part, -1) for part in found] if len(found) <= _MOST_PARTS else []

    return parts


def _has_digit(word: str) -> bool:
    """Tell whether a word has a digit: the lexicon has every digit as 0, which is no number that the texts say."""
    return any(map(str.isdigit, word))


def _links(batch: pa.RecordBatch, ours: Parts, theirs: Parts) -> Iterator[Links]:
    """Yield the links of the parts of words: a pair of words has as many links as the longer one has parts."""
    sources, targets = _table(batch["source"], ours), _table(batch["target"], theirs)
    longer = np.maximum((sources > _NONE).sum(0), (targets > _NONE).sum(0))
    counts = np.asarray(batch["count"]) / np.maximum(longer, 1).astype(np.float32)
    for source in sources:
        for target in targets:
            there = (source >= 0) & (target >= 0)
            if there.any():
                yield Links(source[there], target[there], counts[there])


_NONE = -2  # where a word has fewer parts than others


def _table(column: pa.DictionaryArray, parts: Parts) -> Ints:
    """Return the numbers of the parts of each row's word, (most parts of a word, rows)."""
    known = [parts(word) for word in column.dictionary.to_pylist()]
    table = np.full((max(map(len, known), default=0), len(known)), _NONE)
    for word, numbers in enumerate(known):
        table[: len(numbers), word] = numbers
    return table[:, np.asarray(column.indices)]
