"""Word translations from an earlier word alignment, mapped to the words that the likelihood model counts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.cleaning.ibm_model1 import Ints, Prior, Table, Vocabulary, split_words, vocabulary_candidates
from mlctl.errors import InputError

_BATCH_ROWS = 1 << 17  # of the lexicon
_MAX_PARTS = 4  # model words in one word of the lexicon, which has whole words where words are not spaced
_CACHED_WORDS = 1 << 16

# Most links that a source word's prior counts as, so that the text at hand has weight too. Chosen on news against the health texts, with
# lexicons of news and of the Bible.
_MAX_LINKS = np.float32(10)

TokenizedTexts = Sequence[Sequence[str]]
PartIds = Callable[[str], list[int]]  # ids of the model words in a word of the lexicon

_UNKNOWN = -1
_PADDING = -2  # where a word has fewer parts than others


class WordLinks(NamedTuple):
    """Pairs of words and how often they were linked: word ids of both sides and counts, each (N,)."""

    sources: Ints
    targets: Ints
    counts: npt.NDArray[np.float32]


class PriorLexicon:
    """The part of a lexicon whose words can be in the model's vocabularies.

    Attributes:
        known: for each side, the words that have links.
        equivalent_pairs: how many pairs like those of the sample it takes to learn as many links.
    """

    def __init__(self, words: tuple[list[str], list[str]], links: WordLinks, equivalent_pairs: float) -> None:
        """Take the words of both sides, in the order of the ids of `links`."""
        self._words = words
        self._links = links
        self.known = _linked_words(words[0], links.sources), _linked_words(words[1], links.targets)
        self.equivalent_pairs = equivalent_pairs

    @classmethod
    def read(cls, file: Path, texts: tuple[TokenizedTexts, TokenizedTexts]) -> PriorLexicon:
        """Read a lexicon (schema LEXICON) batch by batch; keep the words that can be in the vocabularies of the texts of both sides.

        Raises:
            InputError: the file is not a lexicon.
        """
        words = vocabulary_candidates(texts[0]), vocabulary_candidates(texts[1])
        source_ids, target_ids = _part_ids(words[0]), _part_ids(words[1])
        links, total = _NO_LINKS, 0.0
        try:
            for batch in pq.ParquetFile(file, read_dictionary=["source", "target"]).iter_batches(_BATCH_ROWS, columns=_COLUMNS):
                links = _merge([links, *_links_of(batch, source_ids, target_ids)], len(words[1]))
                total += float(np.asarray(batch["count"]).sum(dtype=np.float64))
        except (OSError, KeyError, ValueError) as error:  # Arrow's errors are subclasses of these
            raise InputError(f"{file}: cannot be read as a lexicon ({error})", "name another align result, or none") from error
        covered = _coverage(texts[0], _linked_words(words[0], links.sources))
        return cls(words, links, total / _mean_length(texts[0]) * covered)

    def priors(self, vocabularies: tuple[Vocabulary, Vocabulary]) -> tuple[Prior, Prior]:
        """Return the prior counts of the words of both vocabularies, for both directions."""
        source_ids, target_ids = (_ids_in(vocabulary, words) for words, vocabulary in zip(self._words, vocabularies, strict=True))
        table = np.zeros((len(vocabularies[0]), len(vocabularies[1])), dtype=np.float32)
        sources, targets = source_ids[self._links.sources], target_ids[self._links.targets]
        in_both = (sources >= 0) & (targets >= 0)
        table[sources[in_both], targets[in_both]] = self._links.counts[in_both]
        return Prior(table, _weights(table)), Prior(table.T, _weights(table.T))


_COLUMNS = ["source", "target", "count"]
_NO_LINKS = WordLinks(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


def _merge(links: Sequence[WordLinks], target_words: int) -> WordLinks:
    """Return links with one entry for each pair of words."""
    sources, targets, counts = map(np.concatenate, zip(*links, strict=True))
    pairs, index = np.unique(sources * target_words + targets, return_inverse=True)
    sums = np.bincount(index, counts, len(pairs)).astype(np.float32)
    return WordLinks(pairs // max(1, target_words), pairs % max(1, target_words), sums)


def _mean_length(texts: TokenizedTexts) -> float:
    return max(1, sum(map(len, texts))) / max(1, len(texts))


def _coverage(texts: TokenizedTexts, known: frozenset[str]) -> float:
    """Return the share of running words that are known."""
    return sum(word in known for text in texts for word in text) / max(1, sum(map(len, texts)))


def _weights(counts: Table) -> Table:
    """Return the factor that limits each row of counts to `_MAX_LINKS`, (rows, 1)."""
    weights: Table = _MAX_LINKS / np.maximum(counts.sum(axis=1, keepdims=True), _MAX_LINKS)
    return weights


def _linked_words(words: Sequence[str], ids: Ints) -> frozenset[str]:
    return frozenset(words[number] for number in np.unique(ids).tolist())


def _ids_in(vocabulary: Vocabulary, words: Sequence[str]) -> Ints:
    """Return the ids of words in a vocabulary; -1: unknown."""
    ids = {word: number for number, word in enumerate(vocabulary.words)}
    return np.array([ids.get(word, _UNKNOWN) for word in words], dtype=np.int64)


def _part_ids(words: Sequence[str]) -> PartIds:
    """Return a function that maps a word of the lexicon to the ids of its parts in `words`; -1: unknown."""
    ids = {word: number for number, word in enumerate(words)}

    @functools.lru_cache(_CACHED_WORDS)
    def part_ids(word: str) -> list[int]:
        parts = split_words(word)
        return [_UNKNOWN if _has_digit(part) else ids.get(part, _UNKNOWN) for part in parts] if len(parts) <= _MAX_PARTS else []

    return part_ids


def _has_digit(word: str) -> bool:
    """Return whether a word has a digit: the lexicon has 0 for every digit, so that its numbers match no number of the texts."""
    return any(map(str.isdigit, word))


def _links_of(batch: pa.RecordBatch, source_ids: PartIds, target_ids: PartIds) -> Iterator[WordLinks]:
    """Yield the links of the parts of words. The count of two linked words is divided by the number of parts of the longer one."""
    sources, targets = _id_table(batch["source"], source_ids), _id_table(batch["target"], target_ids)
    longer = np.maximum((sources > _PADDING).sum(0), (targets > _PADDING).sum(0))
    counts = np.asarray(batch["count"]) / np.maximum(longer, 1).astype(np.float32)
    for source in sources:
        for target in targets:
            known = (source >= 0) & (target >= 0)
            if known.any():
                yield WordLinks(source[known], target[known], counts[known])


def _id_table(column: pa.DictionaryArray, part_ids: PartIds) -> Ints:
    """Return the part ids of each row's word, (most parts of a word, rows)."""
    ids = [part_ids(word) for word in column.dictionary.to_pylist()]
    table = np.full((max(map(len, ids), default=0), len(ids)), _PADDING)
    for word, numbers in enumerate(ids):
        table[: len(numbers), word] = numbers
    return table[:, np.asarray(column.indices)]
