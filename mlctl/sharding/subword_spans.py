"""From characters to subwords: the exact subword span of a word, for any kind of subword tokenizer."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from mlctl.modeling.unknown_token import unknown_id
from mlctl.sharding.chunk_encoding import ChunkEncoder, Encoding, can_encode_chunks

Integers = npt.NDArray[np.int64]

_SPACES = np.array(
    [code for code in range(0x3001) if chr(code).isspace() or code == 0x200B], dtype="<u4"
)  # with Khmer's word border


@dataclass(frozen=True)
class TokenizedTexts:
    """Texts as token ids, special tokens included.

    Attributes:
        ids: token ids of all texts, one after the other (tokens,).
        bounds: where the tokens of each text begin, and the end of the last (texts + 1,).
        is_truncated: which texts were longer than the maximum (texts,).
    """

    ids: Integers
    bounds: Integers
    is_truncated: npt.NDArray[np.bool_]
    _offsets: Integers  # (visible tokens, 2) characters of each, counted through all texts, without white space at its ends
    _tokens: Integers  # (visible tokens,) index of each among all tokens
    _spaces: Integers  # (visible tokens,) number of tokens of white space alone directly before each
    _text_starts: Integers  # (texts,)
    _unknown_before: Integers  # (tokens + 1,) number of unknown tokens before each
    _truncated: npt.NDArray[np.bool_]  # (visible tokens,) the last of a truncated text: its word may be incomplete

    def spans(self, texts: Integers, characters: Integers) -> Integers:
        """Return the token span [start, end) of each word in its text (N, 2); (−1, −1) where it has no exact one.

        Args:
            texts: the index of each word's text (N,).
            characters: the characters [start, end) of each word in its text (N, 2).

        A span includes a token of white space alone before the word (SentencePiece's `▁`), to which taggers give the word's tag.
        It is exact when its first other token begins with the word and its last token ends with it, none of its tokens is the unknown
        token, and the word was not truncated.
        """
        if not len(self._offsets):
            return np.full((len(texts), 2), -1)
        words = characters + self._text_starts[texts, None]
        first = np.searchsorted(self._offsets[:, 1], words[:, 0], side="right")
        last = np.searchsorted(self._offsets[:, 0], words[:, 1], side="left") - 1
        exact = (first <= last) & (first < len(self._offsets))
        first, last = np.where(exact, first, 0), np.where(exact, last, 0)
        exact &= (self._offsets[first, 0] >= words[:, 0]) & (self._offsets[last, 1] <= words[:, 1]) & ~self._truncated[last]
        span = np.stack([self._tokens[first], self._tokens[last] + 1], axis=1)
        exact &= self._unknown_before[span[:, 0]] == self._unknown_before[span[:, 1]]
        span[:, 0] -= self._spaces[first]
        return np.where(exact[:, None], span - self.bounds[texts, None], -1)


class SpanTokenizer:
    """Tokenises texts to at most `max_length` token ids, and finds the token spans of words."""

    def __init__(self, tokenizer_json: str, max_length: int) -> None:
        """Take the content of a tokenizer.json, and the maximum number of token ids of a text."""
        parts = json.loads(tokenizer_json)
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True  # "[MASK]" in a text is text, not a mask token
        self._unknown_id = unknown_id(self._tokenizer, parts["model"])
        self._encode = self._encode_whole
        if can_encode_chunks(parts):
            self._encode = ChunkEncoder(self._tokenizer, max_length).encode
        else:
            self._tokenizer.enable_truncation(max_length)

    @property
    def vocabulary_size(self) -> int:
        """Number of token types, special tokens included."""
        return int(self._tokenizer.get_vocab_size())

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Return the share of unknown tokens among the tokens of texts, special ones left out; 1 if texts have no token at all."""
        encoding = self._encode(texts)
        ids = encoding.ids[~encoding.is_special]
        return float(np.mean(ids == self._unknown_id)) if len(ids) else 1.0

    def tokenise(self, texts: Sequence[str]) -> TokenizedTexts:
        """Tokenise texts."""
        encoding = self._encode(texts)
        text_starts = np.cumsum([0, *map(len, texts)])[:-1]
        offsets = encoding.offsets + np.repeat(text_starts, np.diff(encoding.bounds))[:, None]
        offsets = _strip_spaces(offsets, "".join(texts))
        is_space = ~encoding.is_special & (offsets[:, 0] >= offsets[:, 1])
        tokens = np.flatnonzero(~encoding.is_special & ~is_space)
        return TokenizedTexts(
            ids=encoding.ids,
            bounds=encoding.bounds,
            is_truncated=encoding.is_truncated,
            _offsets=offsets[tokens],
            _tokens=tokens,
            _spaces=_run_before(is_space)[tokens],
            _text_starts=text_starts,
            _unknown_before=np.cumsum(np.concatenate([[0], encoding.ids == self._unknown_id])),
            _truncated=_last_of_truncated(tokens, encoding.bounds, encoding.is_truncated),
        )

    def _encode_whole(self, texts: Sequence[str]) -> Encoding:
        encodings = self._tokenizer.encode_batch(list(texts))
        return Encoding(
            ids=_flatten([encoding.ids for encoding in encodings]),
            bounds=np.cumsum([0, *map(len, encodings)]),
            offsets=_flatten([itertools.chain.from_iterable(encoding.offsets) for encoding in encodings]).reshape(-1, 2),
            is_special=_flatten([encoding.special_tokens_mask for encoding in encodings]) != 0,
            is_truncated=np.array([bool(encoding.overflowing) for encoding in encodings], dtype=bool),
        )


def _flatten(rows: Sequence[Any]) -> Integers:
    return np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int64)


def _strip_spaces(offsets: Integers, text: str) -> Integers:
    """Strip white space from both ends of character ranges: byte-level tokens often include the space before a word."""
    is_space = np.isin(np.frombuffer(text.encode("utf-32-le"), dtype="<u4"), _SPACES)
    position = np.arange(len(text) + 1)
    end_before = np.concatenate([[0], np.maximum.accumulate(np.where(is_space, 0, position[1:]))])
    start_after = np.minimum.accumulate(np.where(np.append(is_space, False), len(text), position)[::-1])[::-1]
    return np.stack([start_after[offsets[:, 0]], end_before[offsets[:, 1]]], axis=1)


def _run_before(flags: npt.NDArray[np.bool_]) -> Integers:
    """Return for each position the number of flags that are set directly before it, in a row."""
    position = np.arange(len(flags))
    last_unset = np.maximum.accumulate(np.where(flags, -1, position))
    run = position - last_unset  # up to and with the position
    return np.concatenate([[0], run[:-1]])


def _last_of_truncated(tokens: Integers, bounds: Integers, truncated: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return for each visible token whether it is the last one of a truncated text."""
    texts = np.searchsorted(bounds, tokens, side="right") - 1
    is_last = np.append(texts[1:] != texts[:-1], True)[: len(texts)]
    last_of_truncated: npt.NDArray[np.bool_] = truncated[texts] & is_last
    return last_of_truncated
