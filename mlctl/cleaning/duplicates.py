"""Texts that came before, found by their 64-bit digests: as many of them at a time as memory is meant to hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.core.files import discard

Digests = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

_IN_A_BUCKET = 1 << 20  # digests, with their rows 16 bytes each
_MOST_BUCKETS = 1 << 10


def digests_of(keys: Iterable[str]) -> Digests:
    """Return the 64-bit digest of each key. Among ten million keys two collide with a chance of 1 : 370,000."""
    joined = b"".join(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest() for key in keys)
    return np.frombuffer(joined, dtype="<u8").astype(np.uint64)


class Marks:
    """A bit for each row of a corpus."""

    def __init__(self, rows: int) -> None:
        self._bits = np.zeros((rows + 7) // 8, dtype=np.uint8)

    def add(self, rows: Digests) -> None:
        """Mark rows."""
        bits = np.left_shift(1, rows & np.uint64(7), dtype=np.uint64).astype(np.uint8)
        np.bitwise_or.at(self._bits, (rows >> np.uint64(3)).astype(np.int64), bits)

    def between(self, first: int, last: int) -> Mask:
        """Tell of rows `first` (a multiple of 8) to `last` (not counted) which are marked."""
        bits = np.unpackbits(self._bits[first // 8 : (last + 7) // 8], bitorder="little")
        return bits[: last - first].astype(bool)


class Bucket(NamedTuple):
    """Digests and the rows that have them, in the order of the rows."""

    digests: Digests
    rows: Digests

    @property
    def again(self) -> Digests:
        """Return the rows whose digest an earlier row has."""
        again = np.ones(len(self.rows), dtype=bool)
        again[np.unique(self.digests, return_index=True)[1]] = False
        return self.rows[again]


class Buckets:
    """Digests of any number of rows in files, by their highest bits: equal ones meet in one that is small enough to look at."""

    def __init__(self, folder: Path, rows: int) -> None:
        self._bits = min((rows // _IN_A_BUCKET).bit_length(), _MOST_BUCKETS.bit_length() - 1)
        self._files = [folder / f"{number:04}" for number in range(1 << self._bits)]
        discard(folder)
        folder.mkdir(parents=True)
        for file in self._files:
            file.touch()

    def add(self, digests: Digests, rows: Digests) -> None:
        """Add digests with the rows that have them. Rows must come in order."""
        numbers = digests >> np.uint64(64 - self._bits) if self._bits else np.zeros_like(digests)
        order = np.argsort(numbers, kind="stable")
        records = np.stack([digests, rows], axis=1)[order]
        bounds = np.searchsorted(numbers[order], np.arange(len(self._files) + 1, dtype=np.uint64))
        for file, first, last in zip(self._files, bounds[:-1], bounds[1:], strict=True):
            if last > first:
                with file.open("ab") as appended:
                    appended.write(records[first:last].tobytes())

    def __iter__(self) -> Iterator[Bucket]:
        """Yield the buckets, always in the same order."""
        for file in self._files:
            records = np.fromfile(file, dtype=np.uint64).reshape(-1, 2)
            yield Bucket(records[:, 0], records[:, 1])
