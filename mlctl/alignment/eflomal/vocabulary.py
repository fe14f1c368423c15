"""Words as numbers: the sentences of a corpus in flat arrays, some bytes a word."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlctl.alignment.aligner import Pair, Sentence
from mlctl.alignment.eflomal.sentence_buffer import Corpus
from mlctl.alignment.word_tokenization import normalise_word

T = TypeVar("T", bound=np.generic)


class Vocabulary:
    """Numbers words in the order in which they come first."""

    def __init__(self) -> None:
        self._words: dict[str, int] = {}
        self._surfaces: dict[str, int] = {}  # words as they are written: most are met often, and normalised once

    def numbers(self, sentence: Sentence) -> list[int]:
        """Return the number of each word of a sentence; new words get the next ones."""
        text, get = sentence.text, self._surfaces.get
        found = [get(text[start:end], -1) for start, end in sentence.spans]
        if -1 in found:
            return [self._number(text[start:end]) for start, end in sentence.spans]
        return found

    def _number(self, surface: str) -> int:
        number = self._surfaces.get(surface)
        if number is None:
            # Half a surrogate pair is no text that could be saved.
            word = normalise_word(surface).encode("utf-8", "replace").decode()
            number = self._surfaces[surface] = self._words.setdefault(word, len(self._words))
        return number

    def words(self) -> pa.StringArray:
        """Return the words by number."""
        return pa.array(list(self._words), pa.string())


class EncodedPairs(NamedTuple):
    """Pairs as numbers of words, and the words of each side by number."""

    corpus: Corpus
    source: pa.StringArray
    target: pa.StringArray


def encode_pairs(pairs: Iterable[Pair]) -> EncodedPairs:
    """Read pairs, once and in order."""
    vocabularies = Vocabulary(), Vocabulary()
    tokens = array("i"), array("i")
    offsets = array("q", [0]), array("q", [0])
    for pair in pairs:
        for vocabulary, found, ends, sentence in zip(vocabularies, tokens, offsets, pair, strict=True):
            found.extend(vocabulary.numbers(sentence))
            ends.append(len(found))
    source, target = ((_flat(found, np.int32), _flat(ends, np.int64)) for found, ends in zip(tokens, offsets, strict=True))
    return EncodedPairs(Corpus(*source, *target), vocabularies[0].words(), vocabularies[1].words())


def _flat(values: array[int], kind: type[T]) -> npt.NDArray[T]:
    """Return the same memory as a numpy array."""
    return np.frombuffer(values, kind) if len(values) else np.zeros(0, kind)


def look_up_ids(words: pa.StringArray, vocabulary: pa.StringArray) -> npt.NDArray[np.int32]:
    """Return the number in `vocabulary` of each word, -1 where it has none; null, a word that nobody knows, has none."""
    if not len(vocabulary):
        return np.full(len(words), -1, np.int32)
    found: npt.NDArray[np.int32] = pc.fill_null(pc.index_in(words, vocabulary, skip_nulls=True), -1).to_numpy()
    return found.copy()
