"""The kind of each character of a text, as arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

_UNKNOWN = 0


class CharacterKinds:
    """A kind for each character, found on demand: the function that gives it is called once per character."""

    def __init__(self, kind_of: Callable[[str], int]) -> None:
        """Take the function: it returns the kind of a character, from 1 to 255."""
        self._kind_of = kind_of
        self._kinds = np.zeros(sys.maxunicode + 1, np.uint8)

    def __call__(self, codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
        """Return the kinds of characters, given as code points."""
        kinds = self._kinds[codes]
        unknown = np.unique(codes[kinds == _UNKNOWN])
        if len(unknown):
            self._kinds[unknown] = [self._kind_of(chr(code)) for code in unknown.tolist()]
            kinds = self._kinds[codes]
        return kinds
