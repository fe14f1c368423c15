"""From characters to subwords: the exact subword range of a word, for any kind of subword tokenizer."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

Integers = npt.NDArray[np.int64]

_SPACES = np.array([code for code in range(0x3001) if chr(code).isspace()], dtype="<u4")


@dataclass(frozen=True)
class Subwords:
    """Texts as token ids, special tokens counted.

    Attributes:
        ids: token ids of all texts, one after the other (tokens,).
        bounds: where the tokens of each text begin, and the end of the last (texts + 1,).
    """

    ids: Integers
    bounds: Integers
    _edges: Integers  # (visible tokens, 2) characters of each, counted through all texts, without white space at its ends
    _places: Integers  # (visible tokens,) number of each among all tokens
    _text_starts: Integers  # (texts,)
    _unknown: Integers  # (tokens + 1,) unknown tokens before each
    _cut: npt.NDArray[np.bool_]  # (visible tokens,) the last of a text that was cut: its word may go on

    def spans(self, texts: Integers, ranges: Integers) -> Integers:
        """Return the token range of each word, counted from the start of its text; (-1, -1) where it has none.

        Args:
            texts: the number of each word's text (N,).
            ranges: the characters [start, end) of each word in its text (N, 2).

        A word has a range when its first token begins with it and its last token ends with it, none of them is the unknown
        token, and it was not cut.
        """
        if not len(self._edges):
            return np.full((len(texts), 2), -1)
        wanted = ranges + self._text_starts[texts, None]
        first = np.searchsorted(self._edges[:, 1], wanted[:, 0], side="right")
        last = np.searchsorted(self._edges[:, 0], wanted[:, 1], side="left") - 1
        exact = (first <= last) & (first < len(self._edges))
        first, last = np.where(exact, first, 0), np.where(exact, last, 0)
        exact &= (self._edges[first, 0] >= wanted[:, 0]) & (self._edges[last, 1] <= wanted[:, 1]) & ~self._cut[last]
        span = np.stack([self._places[first], self._places[last] + 1], axis=1)
        exact &= self._unknown[span[:, 0]] == self._unknown[span[:, 1]]
        return np.where(exact[:, None], span - self.bounds[texts, None], -1)


class Encoder:
    """Turns texts into token ids of at most `max_length`, and words into ranges of them."""

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        self._tokenizer.encode_special_tokens = True  # a text that says "[MASK]" is no mask
        self._unknown = _unknown_id(tokenizer)

    @property
    def vocabulary(self) -> int:
        """Number of token types, special tokens counted."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> Subwords:
        """Encode texts."""
        encodings = self._tokenizer.encode_batch(list(texts))
        ids = _flat([encoding.ids for encoding in encodings])
        bounds = np.cumsum([0, *map(len, encodings)])
        text_starts = np.cumsum([0, *map(len, texts)])[:-1]
        edges = _flat([itertools.chain.from_iterable(encoding.offsets) for encoding in encodings]).reshape(-1, 2)
        edges = _trimmed(edges + np.repeat(text_starts, np.diff(bounds))[:, None], "".join(texts))
        special = _flat([encoding.special_tokens_mask for encoding in encodings])
        places = np.flatnonzero((special == 0) & (edges[:, 0] < edges[:, 1]))
        cut = np.array([bool(encoding.overflowing) for encoding in encodings], dtype=bool)
        return Subwords(
            ids=ids,
            bounds=bounds,
            _edges=edges[places],
            _places=places,
            _text_starts=text_starts,
            _unknown=np.cumsum(np.concatenate([[0], ids == self._unknown])),
            _cut=_last_of_cut(places, bounds, cut),
        )


def _flat(rows: Sequence[Any]) -> Integers:
    return np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int64)


def _trimmed(edges: Integers, text: str) -> Integers:
    """Take white space off both ends of character ranges: byte-level tokens often count the space before a word in."""
    space = np.isin(np.frombuffer(text.encode("utf-32-le"), dtype="<u4"), _SPACES)
    place = np.arange(len(text) + 1)
    end_before = np.concatenate([[0], np.maximum.accumulate(np.where(space, 0, place[1:]))])
    start_after = np.minimum.accumulate(np.where(np.append(space, False), len(text), place)[::-1])[::-1]
    return np.stack([start_after[edges[:, 0]], end_before[edges[:, 1]]], axis=1)


def _last_of_cut(places: Integers, bounds: Integers, cut: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    texts = np.searchsorted(bounds, places, side="right") - 1
    last = np.append(texts[1:] != texts[:-1], True)[: len(texts)]
    marked: npt.NDArray[np.bool_] = cut[texts] & last
    return marked


def _unknown_id(tokenizer: Tokenizer) -> int:
    """Return the id of the unknown token, -1 where the model has none (byte-level models need none)."""
    model = json.loads(tokenizer.to_str())["model"]
    token = model.get("unk_token")
    found = tokenizer.token_to_id(token) if token else model.get("unk_id")
    return -1 if found is None else int(found)
