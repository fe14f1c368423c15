"""Streaming readers of Parquet files: record batches of a bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

BATCH_ROWS = 8192  # rows in memory at a time


def row_count(file: Path) -> int:
    """Return how many rows a Parquet file has, from its footer."""
    return int(pq.read_metadata(file).num_rows)


def batches(file: Path, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file, all columns or those named."""
    with pq.ParquetFile(file) as parquet:
        yield from parquet.iter_batches(batch_rows, columns=None if columns is None else list(columns))


def row_range(
    files: Iterable[Path], first: int, last: int, columns: Sequence[str], batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Yield rows `first` to `last` (excluded), counted through all files, from only those row groups that contain some."""
    start = 0
    for file in files:
        if start >= last:
            return
        with pq.ParquetFile(file) as parquet:
            for group in range(parquet.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                if start < last and first < start + rows:
                    yield from _group_rows(parquet, group, first - start, last - start, columns, batch_rows)
                start += rows


def _group_rows(
    parquet: pq.ParquetFile, group: int, first: int, last: int, columns: Sequence[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    start = 0
    for batch in parquet.iter_batches(batch_rows, row_groups=[group], columns=list(columns)):
        low, high = max(first - start, 0), min(last - start, batch.num_rows)
        if low < high:
            yield batch.slice(low, high - low).select(list(columns))
        start += batch.num_rows
