"""Rows of different lengths in one flat array, worked on without a loop over rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlctl.training.counter_rng import Keys, bits


@dataclass(frozen=True)
class Ragged:
    """Row i is values[starts[i] : starts[i] + lengths[i]]; `values` is (items,) or (items, width)."""

    values: NDArray[Any]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of_list_column(cls, column: Any) -> Ragged:
        """Read a list column of a pyarrow table; a struct's fields, in their order, become the width."""
        array = column.combine_chunks()
        flat = array.flatten()
        offsets = array.offsets.to_numpy().astype(np.int64)
        values = np.stack([part.to_numpy() for part in flat.flatten()], axis=1) if flat.type.num_fields else flat.to_numpy()
        return cls(values, offsets[:-1] - offsets[0], np.diff(offsets))

    @classmethod
    def concatenated(cls, pieces: Sequence[Ragged]) -> Ragged:
        """Put the rows of several below each other."""
        before = np.cumsum([0, *(len(piece.values) for piece in pieces)])
        starts = [piece.starts + shift for piece, shift in zip(pieces, before, strict=False)]
        values = np.concatenate([piece.values for piece in pieces])
        return cls(values, np.concatenate(starts), np.concatenate([piece.lengths for piece in pieces]))

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """Return the named rows in the named order, packed."""
        lengths = self.lengths[rows]
        starts = np.cumsum(lengths) - lengths
        return Ragged(self.values[_ranges(self.starts[rows], lengths)], starts, lengths)

    def owners(self) -> NDArray[np.int64]:
        """Return which row each item of a packed array is of, (items,)."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def padded(self, width: int, fill: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the rows of flat values as (rows, width) int64, and where there is a value."""
        there = np.arange(width) < self.lengths[:, None]
        grid = np.full(there.shape, fill, dtype=np.int64)
        grid[there] = self.values[_ranges(self.starts, self.lengths)]
        return grid, there

    def draw(self, row_keys: Keys, count: int) -> NDArray[np.int64]:
        """Return which items of a packed array are drawn: `count` of each row without replacement, all where it has fewer.

        The items come row by row; what a row draws depends on its key (of `draws.keys`) and its length alone.
        """
        owner = self.owners()
        within = np.arange(len(owner)) - self.starts[owner]
        order = np.lexsort((bits(row_keys[owner], within), owner))
        return order[within < count]  # row by row, so place i of `order` is of the row that item i is of


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return starts[0] … starts[0] + lengths[0] − 1, starts[1] …, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
