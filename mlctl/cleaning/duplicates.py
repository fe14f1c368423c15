"""Exact duplicates: 64-bit digests of text, compared bucket by bucket so that memory is bounded."""

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

_BUCKET_ROWS = 1 << 20  # of 16 bytes: a digest and a row number
_MAX_BUCKETS = 1 << 10


def digests_of(keys: Iterable[str]) -> Digests:
    """Return the 64-bit digest of each key. The probability that two of ten million keys collide is 1 : 370,000."""
    joined = b"".join(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest() for key in keys)
    return np.frombuffer(joined, dtype="<u8").astype(np.uint64)


class RowBitmap:
    """One bit for each row of a corpus."""

    def __init__(self, rows: int) -> None:
        self._bits = np.zeros((rows + 7) // 8, dtype=np.uint8)

    def set(self, rows: Digests) -> None:
        """Set the bits of rows."""
        bits = np.left_shift(1, rows & np.uint64(7), dtype=np.uint64).astype(np.uint8)
        np.bitwise_or.at(self._bits, (rows >> np.uint64(3)).astype(np.int64), bits)

    def mask(self, first: int, last: int) -> Mask:
        """Return the bits of rows `first` (a multiple of 8) to `last` (exclusive)."""
        bits = np.unpackbits(self._bits[first // 8 : (last + 7) // 8], bitorder="little")
        return bits[: last - first].astype(bool)


class DigestBucket(NamedTuple):
    """Digests and their row numbers, sorted by row."""

    digests: Digests
    rows: Digests

    @property
    def repeated_rows(self) -> Digests:
        """The rows whose digest an earlier row has."""
        is_repeated = np.ones(len(self.rows), dtype=bool)
        is_repeated[np.unique(self.digests, return_index=True)[1]] = False
        return self.rows[is_repeated]


class DigestBuckets:
    """Digests of any number of rows, partitioned into files by their highest bits: equal digests share a bucket that fits in memory."""

    def __init__(self, folder: Path, rows: int) -> None:
        self._bits = min((rows // _BUCKET_ROWS).bit_length(), _MAX_BUCKETS.bit_length() - 1)
        self._files = [folder / f"{bucket:04}" for bucket in range(1 << self._bits)]
        discard(folder)
        folder.mkdir(parents=True)
        for file in self._files:
            file.touch()

    def add(self, digests: Digests, rows: Digests) -> None:
        """Append digests and their row numbers, which must ascend from call to call."""
        buckets = digests >> np.uint64(64 - self._bits) if self._bits else np.zeros_like(digests)
        order = np.argsort(buckets, kind="stable")
        records = np.stack([digests, rows], axis=1)[order]
        bounds = np.searchsorted(buckets[order], np.arange(len(self._files) + 1, dtype=np.uint64))
        for file, first, last in zip(self._files, bounds[:-1], bounds[1:], strict=True):
            if last > first:
                with file.open("ab") as stream:
                    stream.write(records[first:last].tobytes())

    def __iter__(self) -> Iterator[DigestBucket]:
        """Yield the buckets, always in the same order."""
        for file in self._files:
            records = np.fromfile(file, dtype=np.uint64).reshape(-1, 2)
            yield DigestBucket(records[:, 0], records[:, 1])
