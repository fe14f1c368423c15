"""The downloaded rows of one language, read in ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.schema import PAIR, alone

#: Rows that are judged at a time, by one process; what a crash loses. A multiple of 8.
PART_ROWS = 8192
# The sample is taken in slices, side by side, each large enough to tell what is usual.
_SLICES, _SLICE_ROWS = 4, 4096
_BATCH_ROWS = 8192


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
        return sum(alone(pq.read_metadata(file)) for file in self.files)

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
        return [int(pq.read_metadata(file).num_rows) for file in self.files]

    def _batches(self, first: int, last: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for file, size in zip(self.files, self._sizes, strict=True):
            if first < size and last > 0:
                yield from _rows(file, max(first, 0), min(last, size), columns)
            first, last = first - size, last - size


def _rows(file: Path, first: int, last: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield rows of a file, of those row groups alone that have some."""
    with pq.ParquetFile(file) as parquet:
        groups: list[int] = []
        begin = end = 0
        for number in range(parquet.num_row_groups):
            size = parquet.metadata.row_group(number).num_rows
            if first < end + size and last > end:
                begin = begin if groups else end
                groups.append(number)
            end += size
        for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=groups, columns=list(columns)):
            low, high = max(first, begin), min(last, begin + batch.num_rows)
            if low < high:
                yield batch.slice(low - begin, high - low)
            begin += batch.num_rows
