"""All readings of a text in single-byte encodings at once: a table of what each character is in each of them."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.cleaning.mojibake.encodings import SINGLE_BYTE, UNDECODABLE, Misreading, decoding, misread_characters

CodePoints = npt.NDArray[np.int32]
Indices = npt.NDArray[np.int64]

_UNDECODABLE = ord(UNDECODABLE)
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class Readings(NamedTuple):
    """Distinct readings of some characters: their misreadings' columns (N,), and what the characters are in them (characters, N)."""

    columns: Indices
    code_points: CodePoints


class ReadingTable:
    """What each character is in all readings into some encodings, the most common misreading first.

    Attributes:
        misreadings: the column's misreadings.
    """

    def __init__(self, written: tuple[str, ...]) -> None:
        """Make the columns of each encoding that text may have been read as, for each single-byte one of `written`."""
        true = [name for name in written if name in SINGLE_BYTE]
        self.misreadings = [Misreading(read_as, name) for read_as in SINGLE_BYTE for name in true]
        self._rows = {character: row for row, character in enumerate(sorted(misread_characters()))}
        self._code_points = np.full((len(self._rows), len(self.misreadings)), _UNDECODABLE, dtype=np.int32)
        decoded = np.array([list(map(ord, decoding(name))) for name in true], dtype=np.int32).reshape(-1, 128).T
        for number, read_as in enumerate(SINGLE_BYTE):
            rows = np.array([self._rows.get(character, -1) for character in decoding(read_as)])
            self._code_points[rows[rows >= 0], number * len(true) : (number + 1) * len(true)] = decoded[rows >= 0]
        self._readable = self._code_points != _UNDECODABLE

    def readings(self, characters: str) -> Readings:
        """Return the readings that distinct characters beyond ASCII allow and that change one; of equal ones, the most common misreading."""
        rows = np.array([self._rows.get(character, -1) for character in characters])
        if not self.misreadings or (rows < 0).any():
            return Readings(np.zeros(0, np.int64), np.zeros((len(rows), 0), np.int32))
        columns = np.flatnonzero(self._readable[rows].all(axis=0))
        code_points = self._code_points[rows[:, None], columns]
        changed = (code_points != np.array(list(map(ord, characters)), np.int32)[:, None]).any(axis=0)
        _, first = np.unique(_hashes(code_points), return_index=True)
        kept = np.sort(first[changed[first]])
        return Readings(columns[kept], code_points[:, kept])


@functools.cache
def reading_table(written: tuple[str, ...]) -> ReadingTable:
    """Return the table of the readings into some encodings."""
    return ReadingTable(written)


def _hashes(code_points: CodePoints) -> npt.NDArray[np.uint64]:
    """Return a hash of each column."""
    hashes = np.zeros(code_points.shape[1], dtype=np.uint64)
    for row in code_points.astype(np.uint64):
        hashes = (hashes ^ row) * _HASH_FACTOR
        hashes ^= hashes >> np.uint64(29)
    return hashes
