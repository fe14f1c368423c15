"""Format `parquet`: two text columns, or a column of translations by language."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.corpora.compression import Place
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
            for record in batch.to_pylist():
                number += 1
                row = columns.row(record, f"{place}, row {number}", f"{place.name}#{number}")
                if row:
                    yield row


@contextlib.contextmanager
def _damage(place: Place) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(f"{place} has text that is not UTF-8: {error}", "write the file again from clean text") from None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{place} is no Parquet file, or damaged: {reason}", "copy or fetch the file again") from None
