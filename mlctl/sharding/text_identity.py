"""Text identity: which texts count as equal, up to compatibility forms, case, punctuation and spaces."""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlctl.core.unicode_scripts import UNSPACED, has_unspaced
from mlctl.sharding.character_kinds import CharacterKinds
from mlctl.sharding.word_codes import WordCodes

_WORD = re.compile(f"[{UNSPACED}]|[^\\s{UNSPACED}]+")
_KEPT, _OTHER = 1, 2
_kinds = CharacterKinds(lambda character: _KEPT if unicodedata.category(character)[0] in "LMN" else _OTHER)


def normalise(texts: Iterable[str]) -> list[str]:
    """Return the letters, marks and digits of each text, NFKC and case-folded; the folded text if it has none."""
    folded = _fold(texts)
    codes, bounds = _characters(folded)
    kept = _is_kept(codes)
    kept_before = np.concatenate([[0], np.cumsum(kept)])
    cleaned = _cut(codes[kept], kept_before[bounds])
    return [unicodedata.normalize("NFKC", text) or whole for text, whole in zip(cleaned, folded, strict=True)]


def split_words(texts: Iterable[str]) -> WordCodes:
    """Return the words of each text, normalised; in scripts without spaces, its characters."""
    codes, bounds = _characters(_fold(texts))
    spaced = [unicodedata.normalize("NFKC", text) for text in _cut(np.where(_is_kept(codes), codes, ord(" ")), bounds)]
    words = [" ".join(_WORD.findall(text)) if has_unspaced(text) else text for text in spaced]
    lists = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(pa.array(words, pa.string())))
    flat, ends = lists.flatten(), lists.offsets.to_numpy().astype(np.int64)
    is_word = pc.not_equal(flat, "").to_numpy(zero_copy_only=False)  # of an empty text, the split returns an empty word
    return WordCodes.encode(flat.filter(pa.array(is_word)), np.concatenate([[0], np.cumsum(is_word)])[ends - ends[0]])


def text_identities(texts: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return a hash of each normalised text, (N,): equal for texts that count as equal."""
    digests = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in normalise(texts)]
    return np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)


def _fold(texts: Iterable[str]) -> list[str]:
    return [unicodedata.normalize("NFKC", text).casefold() for text in texts]


def _characters(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Return the code points of texts, one after the other, and their bounds (texts + 1,)."""
    bounds = np.fromiter(itertools.accumulate(map(len, texts), initial=0), np.int64)
    return np.frombuffer("".join(texts).encode("utf-32-le"), "<u4"), bounds


def _cut(codes: npt.NDArray[np.uint32], bounds: npt.NDArray[np.int64]) -> list[str]:
    """Return the texts of code points with these bounds."""
    joined = codes.astype("<u4").tobytes().decode("utf-32-le")
    return [joined[first:last] for first, last in itertools.pairwise(bounds.tolist())]


def _is_kept(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Return which characters are letters, marks or digits."""
    kept: npt.NDArray[np.bool_] = _kinds(codes) == _KEPT
    return kept
