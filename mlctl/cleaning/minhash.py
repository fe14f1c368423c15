"""Near duplicates: MinHash over character 5-grams with locality-sensitive hashing, in tables of fixed size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rensa import RMinHash  # type: ignore[import-untyped]

from mlctl.cleaning.duplicates import Mask

Rows = npt.NDArray[np.int64]
Sketches = npt.NDArray[np.uint64]
BandHashes = npt.NDArray[np.uint32]  # (rows, BANDS)

_SEED = 1
_SHINGLE = 5  # characters
# Hashes of which the sketch keeps one bit each (1-bit MinHash): two texts agree in the share (1 + similarity) / 2 of the bits.
_SKETCH_BITS = 64
# Texts collide in a table when all hashes of a band are equal: 96 of 100 pairs with a similarity of 0.8 do in at least one table.
BANDS, _BAND_HASHES = 8, 5
_HASHES = _SKETCH_BITS + BANDS * _BAND_HASHES
_MAX_SLOTS = 1 << 21  # of one table, 8 bytes each
_MIX = np.uint64(0x9E3779B97F4A7C15)


class NearDuplicateIndex:
    """Stores sketches of 64 bits and finds texts that are close to an earlier one.

    A text overwrites the slot that it falls into: memory is bounded (8 tables of 16 MB), and of more than some two million texts the
    newest are found best.
    """

    def __init__(self, similarity: float, rows: int) -> None:
        """Make the tables for so many rows; texts of this Jaccard similarity or more are near duplicates."""
        self._max_different_bits = int(_SKETCH_BITS * (1 - similarity) / 2)
        self._slots = min(_MAX_SLOTS, 1 << max(10, int(2 * rows - 1).bit_length()))
        self._tables = [np.zeros(self._slots, dtype=np.uint64) for _ in range(BANDS)]

    def add(self, sketches: Sketches, bands: BandHashes) -> Mask:
        """Add texts (as `minhash` returns them); return for each whether it is close to an earlier one, of this call or before."""
        is_near = np.zeros(len(sketches), dtype=bool)
        for band, table in enumerate(self._tables):
            slots = (bands[:, band] & np.uint32(self._slots - 1)).astype(np.int64)
            is_near |= np.bitwise_count(_previous(table, slots, sketches) ^ sketches) <= self._max_different_bits
            table[slots] = sketches  # of several texts in one slot the last one stays
        return is_near


def minhash(texts: Sequence[str]) -> tuple[Sketches, BandHashes]:
    """Return the sketch (64 bits) and the band hashes of each text; near duplicates are likely to share a band hash."""
    if not len(texts):
        return np.zeros(0, dtype=np.uint64), np.zeros((0, BANDS), dtype=np.uint32)
    hashes = np.array(RMinHash.digests_from_token_sets(map(_shingles, texts), _HASHES, _SEED), dtype=np.uint64)
    bands = [_band_hash(hashes[:, first : first + _BAND_HASHES]) for first in range(_SKETCH_BITS, _HASHES, _BAND_HASHES)]
    return _sketches(hashes[:, :_SKETCH_BITS]), np.stack(bands, axis=1)


def _shingles(text: str) -> list[str]:
    return [text[start : start + _SHINGLE] for start in range(max(1, len(text) - _SHINGLE + 1))]


def _sketches(hashes: npt.NDArray[np.uint64]) -> Sketches:
    bits = (hashes & np.uint64(1)).astype(np.uint8)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def _band_hash(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    """Return one hash of the columns of each row."""
    mixed = np.zeros(len(hashes), dtype=np.uint64)
    for column in hashes.T:
        mixed = (mixed ^ column) * _MIX
        mixed ^= mixed >> np.uint64(29)
    return mixed.astype(np.uint32)


def _previous(table: Sketches, slots: Rows, sketches: Sketches) -> Sketches:
    """Return the sketch that precedes each text in its slot: the last earlier text of this call, or the content of the table."""
    previous = table[slots]
    order = np.argsort(slots, kind="stable")
    repeated = np.flatnonzero(slots[order][1:] == slots[order][:-1]) + 1
    previous[order[repeated]] = sketches[order[repeated - 1]]
    return previous
