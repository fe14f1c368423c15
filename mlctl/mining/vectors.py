"""Vectors on disk: float16 matrices in files of a bounded number of rows, memory-mapped when they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

#: Sentences of one file, and queries of one search step.
PART_ROWS = 8192

Matrix = npt.NDArray[np.float32]


def write_vectors(path: Path, vectors: Matrix) -> None:
    """Write unit vectors (N, O) as float16: half the memory, and an error of the cosine of about 3e-5."""
    with path.open("wb") as file:
        np.save(file, vectors.astype(np.float16))


class VectorParts:
    """The vectors of several files as one matrix (N, O).

    Args:
        paths: in order.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._parts = [np.load(path, mmap_mode="r") for path in paths]
        self.starts = np.concatenate([[0], np.cumsum([len(part) for part in self._parts])])

    def __len__(self) -> int:
        """Return N."""
        return int(self.starts[-1])

    @property
    def size(self) -> int:
        """Size O of a vector."""
        return int(self._parts[0].shape[1])

    def __iter__(self) -> Iterator[tuple[int, Matrix]]:
        """Yield the first row and the vectors of each file, as float32."""
        for first, part in zip(self.starts.tolist(), self._parts, strict=False):
            if len(part):
                yield first, part.astype(np.float32)

    def part(self, number: int) -> Matrix:
        """Return the vectors of one file."""
        matrix: Matrix = self._parts[number].astype(np.float32)
        return matrix

    def sample(self, count: int) -> Matrix:
        """Return `count` rows at equal distances, or all."""
        rows = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64))
        numbers = np.searchsorted(self.starts, rows, side="right") - 1
        pieces = [
            self._parts[number][rows[numbers == number] - self.starts[number]].astype(np.float32) for number in np.unique(numbers)
        ]
        matrix: Matrix = np.concatenate(pieces)
        return matrix
