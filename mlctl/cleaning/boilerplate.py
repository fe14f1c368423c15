"""Boilerplate: texts that are repeated many times, each time with another text on the other side."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mlctl.cleaning.duplicates import Digests, Mask, digests_of

_SLOTS = 1 << 22  # of one byte; two tables. Up to some ten million texts hardly ever collide in both tables
_NUMBER = re.compile(r"\d+")
_MAX_COUNT = 254


def digests_without_numbers(texts: Sequence[str], digests: Digests) -> Digests:
    """Return the digest of each text, equal for texts that differ in numbers only; `digests`: those of the texts."""
    result = digests.copy()
    rows = [row for row, text in enumerate(texts) if _NUMBER.search(text)]
    result[rows] = digests_of(_NUMBER.sub("0", texts[row]) for row in rows)
    return result


class RepeatCounter:
    """Counts texts by their digests in a count-min sketch of fixed size (8 MB): a count is never too low."""

    def __init__(self, max_repeats: int) -> None:
        self._max_repeats = min(max_repeats, _MAX_COUNT)
        self._counts = np.zeros((2, _SLOTS), dtype=np.uint8)

    def add(self, digests: Digests) -> Mask:
        """Count texts in order; return for each whether it has now occurred more often than allowed."""
        counts = [
            self._count(table, (digests >> np.uint64(shift)) & np.uint64(_SLOTS - 1))
            for table, shift in zip(self._counts, (0, 32), strict=True)
        ]
        return np.minimum(*counts) > self._max_repeats

    def _count(self, table: npt.NDArray[np.uint8], slots: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Increment the slots of one table; return the running count of each text."""
        order = np.argsort(slots, kind="stable")
        distinct, first, sizes = np.unique(slots[order], return_index=True, return_counts=True)
        counts = np.empty(len(slots), dtype=np.int64)
        counts[order] = np.arange(len(slots)) - np.repeat(first, sizes) + np.repeat(table[distinct], sizes) + 1
        table[distinct] = np.minimum(table[distinct] + sizes, _MAX_COUNT + 1)
        return counts
