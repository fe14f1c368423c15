"""Format `parquet`: two text columns, or a column of translations by language."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.corpora.archives.compression import Place
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.records import Columns
from mlctl.corpora.readers.wanted import Wanted
from mlctl.errors import InputError

_BATCH_ROWS = 1024


def read(place: Place, wanted: Wanted) -> Iterator[Row]:
    """Yield the rows of a Parquet file, a batch at a time; a null or empty target is a text without translation.

    Raises:
        InputError: also when the file is compressed as a whole (Parquet has its own compression inside).
    """
    if place.compressed or place.member:
        raise InputError(f"{place}: a Parquet file cannot be read inside another file", "unpack it")
    columns, number = Columns(wanted), 0
    with _damage(place), pq.ParquetFile(place.path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns.needed(file.schema_arrow.names) or None):
            for record in _records(batch, place, number):
                number += 1
                row = columns.row(record, f"{place}, row {number}", f"{place.name}#{number}")
                if row:
                    yield row


def _records(batch: pa.RecordBatch, place: Place, before: int) -> list[dict[str, Any]]:
    """Return the rows of a batch, `before` rows of the file being read already."""
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError as error:
        if batch.num_rows > 1:
            return [record for row in range(batch.num_rows) for record in _records(batch.slice(row, 1), place, before + row)]
        problem = f"{place}, row {before + 1} has text that is not UTF-8: {error}"
        raise InputError(problem, "write the file again from clean text") from None


@contextlib.contextmanager
def _damage(place: Place) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{place} is no Parquet file, or damaged: {reason}", "copy or fetch the file again") from None
