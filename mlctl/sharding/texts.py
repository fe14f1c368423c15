"""When two texts are the same text."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from mlctl.core.unicode_scripts import UNSPACED, has_unspaced


class _Kept(dict[int, int | None]):
    """A `str.translate` table, filled on demand, that keeps letters, marks and digits and puts `rest` for everything else."""

    def __init__(self, rest: int | None) -> None:
        super().__init__()
        self._rest = rest

    def __missing__(self, code: int) -> int | None:
        self[code] = code if unicodedata.category(chr(code))[0] in "LMN" else self._rest
        return self[code]


_KEPT = _Kept(None)
_APART = _Kept(ord(" "))
_PIECE = re.compile(f"[{UNSPACED}]|[^\\s{UNSPACED}]+")


def normalised(text: str) -> str:
    """Return what is left of a text when compatibility forms, case, punctuation and spaces do not count."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded.translate(_KEPT)) or folded


def pieces(text: str) -> list[str]:
    """Return the words of a text as `normalised` sees them; in scripts without spaces, its characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    apart = unicodedata.normalize("NFKC", folded.translate(_APART))
    return _PIECE.findall(apart) if has_unspaced(apart) else apart.split()


def identities(texts: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return a number for each text, equal for texts that say the same to the letter."""
    digests = [hashlib.blake2b(normalised(text).encode(), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)
