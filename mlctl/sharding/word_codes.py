"""Words as numbers: every distinct word of a batch once, and its number for each occurrence.

What depends on the word alone is then computed once per distinct word, in Python, and taken for all occurrences by numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class WordCodes:
    """The words of some texts, one text after the other.

    Attributes:
        distinct: the different words.
        codes: the index in `distinct` of each word (words,).
        bounds: where the words of each text begin, and the end of the last (texts + 1,).
    """

    distinct: Sequence[str]
    codes: Integers
    bounds: Integers

    @classmethod
    def encode(cls, words: pa.StringArray, bounds: Integers) -> WordCodes:
        """Number the words of texts; `bounds` as in the attributes."""
        encoded = words.dictionary_encode()
        return cls(encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64), bounds)

    def mapped(self, function: Callable[[str], str]) -> WordCodes:
        """Return the codes of the words after a function that can make different words equal."""
        numbers: dict[str, int] = {}
        codes = [numbers.setdefault(function(word), len(numbers)) for word in self.distinct]
        return WordCodes(list(numbers), np.array(codes, np.int64)[self.codes], self.bounds)

    def each(self, function: Callable[[str], Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return the value of a function for each word (words,), called once per distinct word."""
        return np.array([function(word) for word in self.distinct], dtype)[self.codes]

    @property
    def texts(self) -> Integers:
        """The text of each word (words,)."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))


def cut_words(texts: pa.StringArray, ranges: Integers, bounds: Integers) -> pa.StringArray:
    """Return the words at given characters of texts.

    Args:
        texts: without nulls (texts,).
        ranges: characters [start, end) of each word in its text (words, 2).
        bounds: where the words of each text begin, and the end of the last (texts + 1,).
    """
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    characters = np.append(np.flatnonzero((data & 0xC0) != 0x80), len(data))  # the first byte of each
    first = np.searchsorted(characters, offsets[:-1] - offsets[0])  # character of each text
    starts, ends = characters[ranges + np.repeat(first, np.diff(bounds))[:, None]].T
    return string_array(data, starts, ends)


def string_array(data: npt.NDArray[np.uint8], starts: Integers, ends: Integers) -> pa.StringArray:
    """Return the strings in bytes [start, end) of UTF-8 data (n,)."""
    lengths = ends - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    taken = data[np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])]
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(taken))
