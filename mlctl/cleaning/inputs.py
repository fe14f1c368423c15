"""The downloaded pairs of one language, read in batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.schema import PAIR

_BATCH_ROWS = 8192


@dataclass(frozen=True)
class Downloaded:
    """All parts of one target language in the order of their names, which is the order of the sources in the recipe."""

    folder: Path
    language: str

    @cached_property
    def files(self) -> list[Path]:
        """The parts of all corpora."""
        return sorted((self.folder / "pairs" / self.language).glob("*.parquet"))

    @cached_property
    def counts(self) -> tuple[int, int]:
        """Rows with a translation and rows without one, from the files' footers."""
        rows = untranslated = 0
        for file in self.files:
            metadata = pq.read_metadata(file)
            column = PAIR.get_field_index("target")
            rows += metadata.num_rows
            untranslated += sum(
                metadata.row_group(i).column(column).statistics.null_count for i in range(metadata.num_row_groups)
            )
        return rows - untranslated, untranslated

    def pairs(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows that have a translation."""
        return self._rows(pc.is_valid)

    def untranslated(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows that have none."""
        return self._rows(pc.is_null) if self.counts[1] else iter(())

    def sample(self, size: int) -> Iterator[tuple[str, str]]:
        """Yield about `size` pairs, spread evenly over all corpora."""
        step, offset = max(1, self.counts[0] // size), 0
        for batch in self.pairs():
            chosen = batch.take(pa.array(range(-offset % step, batch.num_rows, step), pa.int64()))
            offset += batch.num_rows
            yield from zip(chosen["source"].to_pylist(), chosen["target"].to_pylist(), strict=True)

    def _rows(self, wanted: pc.Function) -> Iterator[pa.RecordBatch]:
        for file in self.files:
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(_BATCH_ROWS, columns=PAIR.names):
                    yield batch.filter(wanted(batch["target"]))
