"""What an earlier word alignment knows of which words translate which, in the words that the likelihood model counts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.cleaning.lexicon import Ints, Prior, Table, Vocabulary, candidates, words_of
from mlctl.errors import InputError

_ROWS = 1 << 17  # of the lexicon, read at a time
_MOST_PARTS = 4  # words of ours in one of the lexicon's, which has whole words where words are not spaced
_REMEMBERED = 1 << 16

_MOST_LINKS = np.float32(10)  # of a word: chosen on news against the health texts, with lexicons of news and of the Bible

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

    def __init__(self, words: tuple[list[str], list[str]], links: Links, pairs: float) -> None:
        self._words = words
        self._links = links
        self.known = _some(words[0], links.sources), _some(words[1], links.targets)
        self.pairs = pairs

    @classmethod
    def read(cls, file: Path, texts: Texts) -> Earlier:
        """Read a lexicon (schema LEXICON) batch by batch, keeping what can be in the vocabularies of `texts`, in words.

        Raises:
            InputError: the file is no lexicon.
        """
        words = candidates(texts[0]), candidates(texts[1])
        ours, theirs = _parts(words[0]), _parts(words[1])
        links, total = _NOTHING, 0.0
        try:
            for batch in pq.ParquetFile(file, read_dictionary=["source", "target"]).iter_batches(_ROWS, columns=_COLUMNS):
                links = _merged([links, *_links(batch, ours, theirs)], len(words[1]))
                total += float(np.asarray(batch["count"]).sum(dtype=np.float64))
        except (OSError, KeyError, ValueError) as error:  # Arrow's own errors are among these
            raise InputError(f"{file}: no lexicon that can be read ({error})", "name another align result, or none") from error
        return cls(words, links, total / _mean_length(texts[0]) * _share(texts[0], _some(words[0], links.sources)))

    def priors(self, vocabularies: tuple[Vocabulary, Vocabulary]) -> tuple[Prior, Prior]:
        """Return how often each numbered word was linked to each of the other side, for both directions.

        A word's links count as some at most, so that the text at hand has a say.
        """
        ours, theirs = (_numbers(words, own) for words, own in zip(self._words, vocabularies, strict=True))
        table = np.zeros((len(vocabularies[0]), len(vocabularies[1])), dtype=np.float32)
        sources, targets = ours[self._links.sources], theirs[self._links.targets]
        there = (sources >= 0) & (targets >= 0)
        table[sources[there], targets[there]] = self._links.counts[there]
        return Prior(table, _weights(table)), Prior(table.T, _weights(table.T))


_COLUMNS = ["source", "target", "count"]
_NOTHING = Links(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


def _merged(several: Sequence[Links], width: int) -> Links:
    """Return links with one entry for each pair of words, of which there are `width` on the target side."""
    sources, targets, counts = map(np.concatenate, zip(*several, strict=True))
    pairs, places = np.unique(sources * width + targets, return_inverse=True)
    return Links(pairs // max(1, width), pairs % max(1, width), np.bincount(places, counts, len(pairs)).astype(np.float32))


def _mean_length(texts: Sequence[Sequence[str]]) -> float:
    return max(1, sum(map(len, texts))) / max(1, len(texts))


def _share(texts: Sequence[Sequence[str]], known: frozenset[str]) -> float:
    """Return the share of running words that are known."""
    return sum(word in known for text in texts for word in text) / max(1, sum(map(len, texts)))


def _weights(table: Table) -> Table:
    weights: Table = _MOST_LINKS / np.maximum(table.sum(axis=1, keepdims=True), _MOST_LINKS)
    return weights


def _some(words: Sequence[str], numbers: Ints) -> frozenset[str]:
    return frozenset(words[number] for number in np.unique(numbers).tolist())


def _numbers(words: Sequence[str], vocabulary: Vocabulary) -> Ints:
    numbers = {word: number for number, word in enumerate(vocabulary.words)}
    return np.array([numbers.get(word, -1) for word in words], dtype=np.int64)


def _parts(words: Sequence[str]) -> Parts:
    """Return what tells the numbers of the words that a word of the lexicon is made of; -1: it has none."""
    numbers = {word: number for number, word in enumerate(words)}

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
