"""Rows of different lengths in one flat NumPy array, with vectorised operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlctl.training.counter_rng import Keys, bits


@dataclass(frozen=True)
class RaggedArray:
    """Row i is values[starts[i] : starts[i] + lengths[i]]; `values` is (items,) or (items, width).

    An array is packed when its rows follow one another without gaps.
    """

    values: NDArray[Any]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def from_list_column(cls, column: Any) -> RaggedArray:
        """Read a list column of a pyarrow table; the fields of a struct become the width, in their order."""
        array = column.combine_chunks()
        flat = array.flatten()
        offsets = array.offsets.to_numpy().astype(np.int64)
        values = np.stack([part.to_numpy() for part in flat.flatten()], axis=1) if flat.type.num_fields else flat.to_numpy()
        return cls(values, offsets[:-1] - offsets[0], np.diff(offsets))

    def __getitem__(self, row: int) -> NDArray[Any]:
        """Return one row, (length,) or (length, width)."""
        values: NDArray[Any] = self.values[self.starts[row] : self.starts[row] + self.lengths[row]]
        return values

    @classmethod
    def concatenate(cls, arrays: Sequence[RaggedArray]) -> RaggedArray:
        """Return the rows of several arrays, one array after the other."""
        shifts = np.cumsum([0, *(len(array.values) for array in arrays)])
        starts = [array.starts + shift for array, shift in zip(arrays, shifts, strict=False)]
        values = np.concatenate([array.values for array in arrays])
        return cls(values, np.concatenate(starts), np.concatenate([array.lengths for array in arrays]))

    def take(self, rows: NDArray[np.int64]) -> RaggedArray:
        """Return the rows with these indices in this order, packed."""
        lengths = self.lengths[rows]
        starts = np.cumsum(lengths) - lengths
        return RaggedArray(self.values[_ranges(self.starts[rows], lengths)], starts, lengths)

    def row_indices(self) -> NDArray[np.int64]:
        """Return the row of each item of a packed array, (items,)."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def to_padded(self, width: int, fill: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the rows of flat values as (rows, width) int64, and a mask (rows, width) that is true where there is a value."""
        mask = np.arange(width) < self.lengths[:, None]
        padded = np.full(mask.shape, fill, dtype=np.int64)
        padded[mask] = self.values[_ranges(self.starts, self.lengths)]
        return padded, mask

    def sample(self, row_keys: Keys, count: int) -> NDArray[np.int64]:
        """Return the indices of `count` items of each row of a packed array, drawn without replacement; all items of shorter rows.

        The indices come row by row. What a row draws depends on its key (of `counter_rng.keys`) and its length alone.
        """
        row = self.row_indices()
        index_in_row = np.arange(len(row)) - self.starts[row]
        order = np.lexsort((bits(row_keys[row], index_in_row), row))
        return order[index_in_row < count]  # sorted by row, so order[i] is of the row that item i is of


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return starts[0] … starts[0] + lengths[0] − 1, starts[1] …, concatenated."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
