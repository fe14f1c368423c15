"""Word ids: the sentences of a corpus in flat arrays, a few bytes per word."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlctl.alignment.aligner import Pair, Sentence
from mlctl.alignment.arrow_io import PairBatches, PairRows, words_of
from mlctl.alignment.eflomal.sentence_buffer import Corpus
from mlctl.core.word_forms import normalise_word

T = TypeVar("T", bound=np.generic)


class Vocabulary:
    """Assigns ids to words, in the order of their first occurrence."""

    def __init__(self) -> None:
        self._words: dict[str, int] = {}
        self._surfaces: dict[str, int] = {}  # surface forms: a cache, because most of them occur often

    def encode(self, sentence: Sentence) -> list[int]:
        """Return the id of each word of a sentence; new words get the next ids."""
        text, get = sentence.text, self._surfaces.get
        ids = [get(text[start:end], -1) for start, end in sentence.spans]
        if -1 in ids:
            return [self._word_id(text[start:end]) for start, end in sentence.spans]
        return ids

    def encode_words(self, words: pa.LargeStringArray) -> npt.NDArray[np.int32]:
        """Return the id of each of the words of many sentences; each distinct one is looked up once, in the order of first occurrence."""
        distinct = words.dictionary_encode()
        ids = np.array([self._word_id(word) for word in distinct.dictionary.to_pylist()], np.int32)
        of_words: npt.NDArray[np.int32] = ids[distinct.indices.to_numpy()]
        return of_words

    def _word_id(self, surface: str) -> int:
        word_id = self._surfaces.get(surface)
        if word_id is None:
            # A lone surrogate cannot be encoded in UTF-8.
            word = normalise_word(surface).encode("utf-8", "replace").decode()
            word_id = self._surfaces[surface] = self._words.setdefault(word, len(self._words))
        return word_id

    def words(self) -> pa.StringArray:
        """Return the words by id."""
        return pa.array(list(self._words), pa.string())


class EncodedPairs(NamedTuple):
    """Pairs as word ids, and the words of each side by id."""

    corpus: Corpus
    source: pa.StringArray
    target: pa.StringArray


def encode_pairs(pairs: Iterable[Pair]) -> EncodedPairs:
    """Return the pairs as word ids; they are read once, in order."""
    vocabularies = Vocabulary(), Vocabulary()
    if isinstance(pairs, PairBatches | PairRows):
        return _encode_batches(pairs.batches, vocabularies)
    tokens = array("i"), array("i")
    offsets = array("q", [0]), array("q", [0])
    for pair in pairs:
        for vocabulary, ids, ends, sentence in zip(vocabularies, tokens, offsets, pair, strict=True):
            ids.extend(vocabulary.encode(sentence))
            ends.append(len(ids))
    source, target = ((_to_array(ids, np.int32), _to_array(ends, np.int64)) for ids, ends in zip(tokens, offsets, strict=True))
    return EncodedPairs(Corpus(*source, *target), vocabularies[0].words(), vocabularies[1].words())


def _encode_batches(batches: Iterable[pa.RecordBatch], vocabularies: tuple[Vocabulary, Vocabulary]) -> EncodedPairs:
    """Return the pairs of batches of WORDS as word ids: the same as those of one pair after another, from columns."""
    tokens: tuple[list[npt.NDArray[np.int32]], ...] = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    offsets: tuple[list[npt.NDArray[np.int64]], ...] = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    for batch in batches:
        for vocabulary, ids, ends, side in zip(vocabularies, tokens, offsets, ("source", "target"), strict=True):
            words, bounds = words_of(batch, side)
            ids.append(vocabulary.encode_words(words))
            ends.append(bounds[1:] + ends[-1][-1])
    source, target = ((np.concatenate(ids), np.concatenate(ends)) for ids, ends in zip(tokens, offsets, strict=True))
    return EncodedPairs(Corpus(*source, *target), vocabularies[0].words(), vocabularies[1].words())


def _to_array(values: array[int], kind: type[T]) -> npt.NDArray[T]:
    """Return a numpy array that shares the memory."""
    return np.frombuffer(values, kind) if len(values) else np.zeros(0, kind)


def look_up_ids(words: pa.StringArray, vocabulary: pa.StringArray) -> npt.NDArray[np.int32]:
    """Return the id in `vocabulary` of each word, -1 if it has none; null, which stands for unknown words, has none."""
    if not len(vocabulary):
        return np.full(len(words), -1, np.int32)
    ids: npt.NDArray[np.int32] = pc.fill_null(pc.index_in(words, vocabulary, skip_nulls=True), -1).to_numpy()
    return ids.copy()
