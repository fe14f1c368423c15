"""Text identity: which texts count as equal, up to compatibility forms, case, punctuation and spaces."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from mlctl.core.unicode_scripts import UNSPACED, has_unspaced


class _LettersAndDigits(dict[int, int | None]):
    """A `str.translate` table, filled on demand, that keeps letters, marks and digits and maps everything else to `replacement`."""

    def __init__(self, replacement: int | None) -> None:
        super().__init__()
        self._replacement = replacement

    def __missing__(self, code: int) -> int | None:
        self[code] = code if unicodedata.category(chr(code))[0] in "LMN" else self._replacement
        return self[code]


_REMOVE_OTHERS = _LettersAndDigits(None)
_SPACE_OTHERS = _LettersAndDigits(ord(" "))
_WORD = re.compile(f"[{UNSPACED}]|[^\\s{UNSPACED}]+")


def normalise(text: str) -> str:
    """Return the letters, marks and digits of a text, NFKC and case-folded; the folded text if it has none."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded.translate(_REMOVE_OTHERS)) or folded


def split_words(text: str) -> list[str]:
    """Return the words of a text, normalised; in scripts without spaces, its characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    spaced = unicodedata.normalize("NFKC", folded.translate(_SPACE_OTHERS))
    return _WORD.findall(spaced) if has_unspaced(spaced) else spaced.split()


def text_identities(texts: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return a hash of each normalised text, (N,): equal for texts that count as equal."""
    digests = [hashlib.blake2b(normalise(text).encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)
