"""Tokenisation of texts by their chunks between spaces, each distinct chunk once: words recur, and a tokenizer takes most of sharding's time.

Tokenizers of BERT's and of SentencePiece's kind split at spaces before they look for subwords, so the tokens of a text are those of its
chunks. A text where that may not hold (white space other than single spaces, invisible characters, a mark after a space) is one chunk.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import regex  # type: ignore[import-untyped]
from tokenizers import Tokenizer

from mlctl.sharding.character_kinds import CharacterKinds
from mlctl.sharding.word_codes import string_array

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

_NORMALIZERS = {
    "BertNormalizer",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Nmt",
    "Precompiled",
    "Replace",
    "Strip",
    "StripAccents",
}
_PRE_TOKENIZERS = {"BertPreTokenizer", "Metaspace", "Whitespace", "WhitespaceSplit"}
_POST_PROCESSORS = {"BertProcessing", "TemplateProcessing"}
_PLAIN, _MARK, _SPACE, _OTHER = range(1, 5)
_PREPEND = regex.compile(r"\p{GCB=Prepend}")  # forms a cluster with what follows, a space included
_MAX_REMEMBERED_TOKENS = 1 << 20  # of chunks, for later texts


class Encoding(NamedTuple):
    """Texts as tokens, special tokens included.

    Attributes:
        ids: token ids of all texts, one after the other (tokens,).
        bounds: where the tokens of each text begin, and the end of the last (texts + 1,).
        offsets: characters [start, end) of each token in its text (tokens, 2); those of special tokens are empty.
        is_special: which tokens are special ones that the tokenizer adds (tokens,).
        is_truncated: which texts were longer than the maximum (texts,).
    """

    ids: Integers
    bounds: Integers
    offsets: Integers
    is_special: Flags
    is_truncated: Flags


class _Tokens(NamedTuple):
    """The tokens of chunks, one after the other: ids (tokens,), offsets (tokens, 2) in their chunks, and bounds (chunks + 1,)."""

    ids: Integers
    offsets: Integers
    bounds: Integers

    def followed_by(self, other: _Tokens) -> _Tokens:
        """Return these chunks and more."""
        ids, offsets = (np.concatenate(pair) for pair in ((self.ids, other.ids), (self.offsets, other.offsets)))
        return _Tokens(ids, offsets, np.concatenate([self.bounds, self.bounds[-1] + other.bounds[1:]]))

    def take(self, chunks: Integers) -> _Tokens:
        """Return the tokens of some chunks, in their order."""
        lengths = np.diff(self.bounds)[chunks]
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        tokens = np.repeat(self.bounds[chunks] - bounds[:-1], lengths) + np.arange(bounds[-1])
        return _Tokens(self.ids[tokens], self.offsets[tokens], bounds)


class ChunkEncoder:
    """Encodes texts by their chunks, and remembers the chunks. The result is that of the tokenizer."""

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        """Take a tokenizer for which `can_encode_chunks` holds, without truncation and padding."""
        self._tokenizer = tokenizer
        special = tokenizer.encode("a")
        is_special = np.array(special.special_tokens_mask, np.bool_)
        first = int(np.argmin(is_special))
        self._prefix, self._suffix = (np.array(ids, np.int64) for ids in (special.ids[:first], special.ids[first:]))
        self._suffix = self._suffix[is_special[first:]]
        self._max_tokens = max_length - len(self._prefix) - len(self._suffix)
        self._numbers: dict[str, int] = {}  # of remembered chunks
        self._table = _flat([])  # their tokens

    def encode(self, texts: Sequence[str]) -> Encoding:
        """Encode texts, truncated to the maximum length."""
        starts, ends, chunk_texts, data = _chunks(texts)
        encoded = string_array(data.utf8, data.first_byte[starts], data.first_byte[ends]).dictionary_encode()
        tokens = self._tokens(encoded.dictionary.to_pylist()).take(encoded.indices.to_numpy().astype(np.int64))

        counts = np.diff(tokens.bounds)
        offsets = tokens.offsets + np.repeat(starts - data.bounds[chunk_texts], counts)[:, None]
        text_lengths = np.bincount(chunk_texts, counts, len(texts)).astype(np.int64)
        rank = _ranks(text_lengths)
        is_kept = rank < self._max_tokens
        return self._with_special(tokens.ids[is_kept], offsets[is_kept], text_lengths)

    def _tokens(self, chunks: list[str]) -> _Tokens:
        """Return the tokens of distinct chunks."""
        if len(self._table.ids) > _MAX_REMEMBERED_TOKENS:
            self._numbers, self._table = {}, _flat([])
        new = [chunk for chunk in chunks if chunk not in self._numbers]
        self._numbers.update(zip(new, range(len(self._numbers), len(self._numbers) + len(new)), strict=True))
        self._table = self._table.followed_by(_flat(self._tokenizer.encode_batch(new, add_special_tokens=False)))
        return self._table.take(np.array([self._numbers[chunk] for chunk in chunks], np.int64))

    def _with_special(self, ids: Integers, offsets: Integers, text_lengths: Integers) -> Encoding:
        """Return the encoding of the kept tokens of texts that have so many tokens (texts,)."""
        kept = np.minimum(text_lengths, self._max_tokens)
        bounds = np.concatenate([[0], np.cumsum(kept + len(self._prefix) + len(self._suffix))])
        all_ids, is_special = np.empty(bounds[-1], np.int64), np.ones(bounds[-1], np.bool_)
        all_offsets = np.zeros((bounds[-1], 2), np.int64)
        places = np.repeat(bounds[:-1] + len(self._prefix), kept) + _ranks(kept)
        all_ids[places], all_offsets[places], is_special[places] = ids, offsets, False
        for place, token in enumerate(self._prefix.tolist()):
            all_ids[bounds[:-1] + place] = token
        for place, token in enumerate(self._suffix[::-1].tolist()):
            all_ids[bounds[1:] - 1 - place] = token
        return Encoding(all_ids, bounds, all_offsets, is_special, text_lengths > self._max_tokens)


def can_encode_chunks(parts: dict[str, Any]) -> bool:
    """Return whether a tokenizer splits at spaces, looks at nothing beyond, and adds the same special tokens to every text.

    Args:
        parts: content of its tokenizer.json.
    """
    normalizers, pre_tokenizers = (_flattened(parts[name], name) for name in ("normalizer", "pre_tokenizer"))
    return (
        all(part["type"] in _NORMALIZERS and _keeps_single_spaces(part) for part in normalizers)
        and bool(pre_tokenizers)
        and all(part["type"] in _PRE_TOKENIZERS and part.get("split", True) for part in pre_tokenizers)
        and (parts["post_processor"] or {}).get("type") in _POST_PROCESSORS
        and all(token["special"] for token in parts["added_tokens"])
    )


def _flattened(part: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    """Return the parts of a tokenizer's normalizer or pre-tokenizer, in order."""
    if part is None:
        return []
    inner = part.get({"normalizer": "normalizers", "pre_tokenizer": "pretokenizers"}[name])
    return [part] if inner is None else list(itertools.chain.from_iterable(_flattened(one, name) for one in inner))


def _keeps_single_spaces(normalizer: dict[str, Any]) -> bool:
    """Return whether a normalizer treats a chunk that begins with a space as it does inside a text."""
    if normalizer["type"] == "Replace":
        return bool(normalizer["pattern"] == {"Regex": " {2,}"})
    return not (normalizer["type"] == "Strip" and normalizer["strip_left"])


class _Characters(NamedTuple):
    """Texts as UTF-8, one after the other: first byte of each character and the end, and the characters' bounds (texts + 1,)."""

    utf8: npt.NDArray[np.uint8]
    first_byte: Integers
    bounds: Integers


def _chunks(texts: Sequence[str]) -> tuple[Integers, Integers, Integers, _Characters]:
    """Return the characters [start, end) of all chunks, counted through all texts, the text of each chunk, and the characters.

    A chunk begins with the space before it. An empty text has no chunk.
    """
    joined = "".join(texts)
    bounds = np.fromiter(itertools.accumulate(map(len, texts), initial=0), np.int64)
    utf8 = np.frombuffer(joined.encode(), np.uint8)
    first_byte = np.append(np.flatnonzero((utf8 & 0xC0) != 0x80), len(utf8))
    kinds = _kinds(np.frombuffer(joined.encode("utf-32-le"), "<u4"))

    text_of = np.repeat(np.arange(len(texts)), np.diff(bounds))
    is_space, is_start = kinds == _SPACE, np.zeros(len(kinds) + 1, np.bool_)
    is_start[bounds[:-1]] = True
    is_start = is_start[:-1]
    after_space = np.append(True, is_space[:-1]) | is_start  # also the first character of a text
    is_odd = (kinds == _OTHER) | (after_space & ((kinds == _MARK) | is_space))
    is_whole = np.zeros(len(texts), np.bool_)
    is_whole[text_of[is_odd]] = True

    starts = np.flatnonzero(is_start | (is_space & ~is_whole[text_of]))
    return starts, np.append(starts[1:], len(kinds))[: len(starts)], text_of[starts], _Characters(utf8, first_byte, bounds)


def _kind(character: str) -> int:
    category = unicodedata.category(character)
    if character == " " or category[0] == "M":
        return _SPACE if character == " " else _MARK
    return _PLAIN if category[0] in "LNPS" and not _PREPEND.match(character) else _OTHER


_kinds = CharacterKinds(_kind)


def _ranks(lengths: Integers) -> Integers:
    """Return the index of each item in its list, for lists of these lengths one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)


def _flat(encodings: Sequence[Any]) -> _Tokens:
    """Return the tokens of encodings."""
    ids = np.fromiter(itertools.chain.from_iterable(encoding.ids for encoding in encodings), np.int64)
    pairs = itertools.chain.from_iterable(encoding.offsets for encoding in encodings)
    offsets = np.fromiter(itertools.chain.from_iterable(pairs), np.int64).reshape(-1, 2)
    bounds = np.fromiter(itertools.accumulate(map(len, encodings), initial=0), np.int64)
    return _Tokens(ids, offsets, bounds)
