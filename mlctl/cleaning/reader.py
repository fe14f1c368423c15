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

#: Rows that one step filters, and that a crash loses. A multiple of 8.
PART_ROWS = 8192
# The sample is read in slices, in parallel, each large enough for statistics.
_SLICES, _SLICE_ROWS = 4, 4096


@dataclass(frozen=True)
class DownloadedRows:
    """All rows of one target language; files are sorted by name, which is the order of the sources in the recipe."""

    folder: Path
    language: str

    @cached_property
    def files(self) -> list[Path]:
        """The files of all corpora."""
        return sorted((self.folder / "pairs" / self.language).glob("*.parquet"))

    @cached_property
    def rows(self) -> int:
        """Rows with and without a translation."""
        return sum(self._file_rows)

    @cached_property
    def untranslated(self) -> int:
        """Rows that have one side only."""
        return sum(untranslated_rows(pq.read_metadata(file)) for file in self.files)

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The ranges of rows that one step filters: first, last (exclusive)."""
        return [(first, min(first + PART_ROWS, self.rows)) for first in range(0, self.rows, PART_ROWS)]

    @property
    def slices(self) -> list[tuple[int, int]]:
        """The ranges of rows that one step samples: first, last (exclusive)."""
        rows = max(_SLICE_ROWS, -(-self.rows // _SLICES))
        return [(first, min(first + rows, self.rows)) for first in range(0, self.rows, rows)]

    def read(self, first: int, last: int) -> pa.Table:
        """Return rows `first` to `last` (exclusive)."""
        return pa.Table.from_batches(self._batches(first, last, PAIR.names), PAIR).combine_chunks()

    def sample(self, size: int, first: int, last: int) -> Iterator[tuple[str, str]]:
        """Yield (source, target) of a sample of about `size` pairs, spread evenly over all corpora: those in rows `first` to `last` (exclusive)."""
        step, offset = max(1, (self.rows - self.untranslated) // size), first
        for batch in self._batches(first, last, ["source", "target"]):
            sampled = batch.take(pa.array(range(-offset % step, batch.num_rows, step), pa.int64()))
            offset += batch.num_rows
            pairs = sampled.filter(pc.and_(sampled["source"].is_valid(), sampled["target"].is_valid()))
            yield from zip(pairs["source"].to_pylist(), pairs["target"].to_pylist(), strict=True)

    def sample_untranslated(self, size: int, first: int, last: int) -> Iterator[tuple[str | None, str | None]]:
        """Yield (source, target), of which one is missing, of about `size` rows without translation, of those in rows `first` to `last`."""
        step = max(1, -(-self.untranslated // size))
        for batch in self._batches(first, last, ["source", "target"]) if self.untranslated else ():
            single = batch.filter(pc.xor(batch["source"].is_valid(), batch["target"].is_valid()))[::step]
            yield from zip(single["source"].to_pylist(), single["target"].to_pylist(), strict=True)

    @cached_property
    def _file_rows(self) -> list[int]:
        return [row_count(file) for file in self.files]

    def _batches(self, first: int, last: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for file, rows in zip(self.files, self._file_rows, strict=True):
            if first < rows and last > 0:
                yield from row_range([file], first, last, columns)
            first, last = first - rows, last - rows
