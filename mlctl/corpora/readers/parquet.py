"""Format `parquet`: two text columns, or a column of translations by language."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.core.unpack_limits import UnpackBudget, stream_limits
from mlctl.corpora.archives.compression import FileLocation
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.records import Columns
from mlctl.corpora.readers.selection import PairSelection
from mlctl.errors import InputError

_BATCH_ROWS = 64  # few: a dictionary can stand for a long text in each of them


def read(location: FileLocation, selection: PairSelection) -> Iterator[Row]:
    """Yield the rows of a Parquet file, batch by batch; a null or empty target is a text without translation.

    Raises:
        InputError: also when the file is compressed as a whole (Parquet has its own compression inside).
    """
    if location.is_compressed or location.member:
        raise InputError(f"{location}: a Parquet file cannot be read inside another file", "unpack it")
    columns, number = Columns(selection), 0
    with _classified_errors(location), pq.ParquetFile(location.path) as file:
        _check_sizes(file, location)
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns.needed(file.schema_arrow.names) or None):
            for record in _records(batch, location, number):
                number += 1
                row = columns.row(record, f"{location}, row {number}", f"{location.name}#{number}")
                if row:
                    yield row


def _check_sizes(file: pq.ParquetFile, location: FileLocation) -> None:
    """Raise InputError if a file announces that it unpacks to more than any text does."""
    limits = dataclasses.replace(stream_limits(), on_unpacked=None)
    budget = UnpackBudget(str(location), location.path.stat().st_size, limits)
    # Not by column: for a damaged one pyarrow (26) ends the process instead of raising an error.
    for index in range(file.metadata.num_row_groups):
        budget.spend(file.metadata.row_group(index).total_byte_size)


def _records(batch: pa.RecordBatch, location: FileLocation, before: int) -> list[dict[str, Any]]:
    """Return the rows of a batch that begins after `before` rows of the file."""
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError as error:
        if batch.num_rows > 1:
            return [record for row in range(batch.num_rows) for record in _records(batch.slice(row, 1), location, before + row)]
        problem = f"{location}, row {before + 1} has text that is not UTF-8: {error}"
        raise InputError(problem, "write the file again from valid UTF-8") from None


@contextlib.contextmanager
def _classified_errors(location: FileLocation) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{location} is damaged or not a Parquet file: {reason}", "copy or fetch the file again") from None
