"""Near duplicates: MinHash over pieces of five characters, in tables of fixed size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rensa import RMinHash  # type: ignore[import-untyped]

from mlctl.cleaning.duplicates import Mask

Rows = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.uint64]
Places = npt.NDArray[np.uint32]  # rows × BANDS

_SEED = 1
_PIECE = 5
_SKETCH = 64  # hashes of which one bit each is kept: two texts agree in the share (1 + similarity) / 2 of them
BANDS, _BAND = 8, 5  # texts meet in a table when all hashes of a band are equal: at a similarity of 0.8, 96 of 100 do
_HASHES = _SKETCH + BANDS * _BAND
_SLOTS = 1 << 21  # of one table at most, 8 bytes each
_MIX = np.uint64(0x9E3779B97F4A7C15)


class NearDuplicates:
    """Remembers texts by sketches of 64 bits and tells those that are close to an earlier one.

    Where a text falls in a table, it takes the place of what was there: memory is bounded (8 tables of 16 MB), and of more than
    some two million texts the newest are remembered best.
    """

    def __init__(self, similarity: float, rows: int) -> None:
        self._most = int(_SKETCH * (1 - similarity) / 2)
        self._slots = min(_SLOTS, 1 << max(10, int(2 * rows - 1).bit_length()))
        self._tables = [np.zeros(self._slots, dtype=np.uint64) for _ in range(BANDS)]

    def add(self, sketches: Numbers, places: Places) -> Mask:
        """Remember texts (of `sketch`); tell for each whether it is close to one that came before, in this call or an earlier one."""
        near = np.zeros(len(sketches), dtype=bool)
        for band, table in enumerate(self._tables):
            slots = (places[:, band] & np.uint32(self._slots - 1)).astype(np.int64)
            near |= np.bitwise_count(_before(table, slots, sketches) ^ sketches) <= self._most
            table[slots] = sketches  # where a slot is named twice, the last one counts
        return near


def sketch(texts: Sequence[str]) -> tuple[Numbers, Places]:
    """Return of each text a sketch of 64 bits, and eight numbers that near texts have in common."""
    if not len(texts):
        return np.zeros(0, dtype=np.uint64), np.zeros((0, BANDS), dtype=np.uint32)
    hashes = np.array(RMinHash.digests_from_token_sets(map(_pieces, texts), _HASHES, _SEED), dtype=np.uint64)
    bands = [_mixed(hashes[:, first : first + _BAND]) for first in range(_SKETCH, _HASHES, _BAND)]
    return _sketches(hashes[:, :_SKETCH]), np.stack(bands, axis=1)


def _pieces(text: str) -> list[str]:
    return [text[place : place + _PIECE] for place in range(max(1, len(text) - _PIECE + 1))]


def _sketches(hashes: Numbers) -> Numbers:
    bits = (hashes & np.uint64(1)).astype(np.uint8)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def _mixed(hashes: Numbers) -> Places:
    mixed = np.zeros(len(hashes), dtype=np.uint64)
    for column in hashes.T:
        mixed = (mixed ^ column) * _MIX
        mixed ^= mixed >> np.uint64(29)
    return mixed.astype(np.uint32)


def _before(table: Numbers, slots: Rows, sketches: Numbers) -> Numbers:
    """Return what each text finds in its slot: the last earlier text of this call that is there, or what the table holds."""
    found = table[slots]
    order = np.argsort(slots, kind="stable")
    again = np.flatnonzero(slots[order][1:] == slots[order][:-1]) + 1
    found[order[again]] = sketches[order[again - 1]]
    return found
