"""The downloaded rows of one language, read in ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.core.arrow import row_count, row_range
from mlctl.schema import PAIR, untranslated_rows

#: Rows that are judged at a time, by one process; what a crash loses. A multiple of 8.
PART_ROWS = 8192
# The sample is taken in slices, side by side, each large enough to tell what is usual.
_SLICES, _SLICE_ROWS = 4, 4096


@dataclass(frozen=True)
class Downloaded:
    """All rows of one target language, files in the order of their names, which is the order of the sources in the recipe."""

    folder: Path
    language: str

    @cached_property
    def files(self) -> list[Path]:
        """The files of all corpora."""
        return sorted((self.folder / "pairs" / self.language).glob("*.parquet"))

    @cached_property
    def rows(self) -> int:
        """Rows with and without a translation."""
        return sum(self._sizes)

    @cached_property
    def untranslated(self) -> int:
        """Rows that have one side only."""
        return sum(untranslated_rows(pq.read_metadata(file)) for file in self.files)

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The ranges of rows that are worked on at a time: first, last (not counted)."""
        return [(first, min(first + PART_ROWS, self.rows)) for first in range(0, self.rows, PART_ROWS)]

    @property
    def slices(self) -> list[tuple[int, int]]:
        """The ranges of rows that are sampled at a time: first, last (not counted)."""
        rows = max(_SLICE_ROWS, -(-self.rows // _SLICES))
        return [(first, min(first + rows, self.rows)) for first in range(0, self.rows, rows)]

    def read(self, first: int, last: int) -> pa.Table:
        """Return rows `first` to `last` (not counted)."""
        return pa.Table.from_batches(self._batches(first, last, PAIR.names), PAIR).combine_chunks()

    def sample(self, size: int, first: int, last: int) -> Iterator[tuple[str, str]]:
        """Yield those of about `size` pairs, spread evenly over all corpora, that are in rows `first` to `last` (not counted)."""
        step, place = max(1, (self.rows - self.untranslated) // size), first
        for batch in self._batches(first, last, ["source", "target"]):
            chosen = batch.take(pa.array(range(-place % step, batch.num_rows, step), pa.int64()))
            place += batch.num_rows
            pairs = chosen.filter(pc.and_(chosen["source"].is_valid(), chosen["target"].is_valid()))
            yield from zip(pairs["source"].to_pylist(), pairs["target"].to_pylist(), strict=True)

    @cached_property
    def _sizes(self) -> list[int]:
        return [row_count(file) for file in self.files]

    def _batches(self, first: int, last: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for file, size in zip(self.files, self._sizes, strict=True):
            if first < size and last > 0:
                yield from row_range([file], first, last, columns)
            first, last = first - size, last - size
