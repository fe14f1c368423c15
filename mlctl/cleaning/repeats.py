"""Boilerplate: texts that come over and over, each time with another text on the other side."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from mlctl.cleaning.duplicates import Digests, Mask, digests_of

_SLOTS = 1 << 22  # of one byte; two tables. Up to some ten million texts hardly ever share both places with others
_NUMBER = re.compile(r"\d+")
_MOST = 254


def number_blind(texts: Iterable[str]) -> Digests:
    """Return the digest of each text, the same for texts that differ in numbers only."""
    return digests_of(_NUMBER.sub("0", text) for text in texts)


class Repeats:
    """Counts texts, numbers in them aside, in tables of fixed size (8 MB): a count is never too low."""

    def __init__(self, most: int) -> None:
        self._most = min(most, _MOST)
        self._counts = np.zeros((2, _SLOTS), dtype=np.uint8)

    def add(self, digests: Digests) -> Mask:
        """Count texts by their digests; tell for each whether it has come more often than allowed, this time included."""
        counted = [
            self._count(table, (digests >> np.uint64(shift)) & np.uint64(_SLOTS - 1))
            for table, shift in zip(self._counts, (0, 32), strict=True)
        ]
        return np.minimum(*counted) > self._most

    def _count(self, table: npt.NDArray[np.uint8], slots: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Count up; return for each text its count when it was its turn."""
        order = np.argsort(slots, kind="stable")
        distinct, first, sizes = np.unique(slots[order], return_index=True, return_counts=True)
        counts = np.empty(len(slots), dtype=np.int64)
        counts[order] = np.arange(len(slots)) - np.repeat(first, sizes) + np.repeat(table[distinct], sizes) + 1
        table[distinct] = np.minimum(table[distinct] + sizes, _MOST + 1)
        return counts
