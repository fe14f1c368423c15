"""Writes the rows of a corpus to Parquet, and counts them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.corpora.corpus import Corpus, Row
from mlctl.corpora.licences import spdx
from mlctl.schema import PAIR

_BATCH_ROWS = 8192
_BATCH_CHARACTERS = 2**27  # thousands a row: only of text that is not in sentences


def write(path: Path, corpus: Corpus, source: str, target: str) -> None:
    """Write the rows of one target language in the schema PAIR, batch by batch."""
    with pq.ParquetWriter(path, PAIR, compression="zstd") as writer:
        for batch in _batches(corpus.rows(target)):
            writer.write_batch(_record_batch(batch, corpus, source, target))


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in batches of `_BATCH_ROWS`, or fewer if they are very long."""
    batch: list[Row] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += len(row.source or "") + len(row.target or "")
        if len(batch) == _BATCH_ROWS or characters > _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def count(path: Path) -> tuple[int, int]:
    """Return the numbers of rows with both sides and with one side, from the file's metadata."""
    metadata = pq.read_metadata(path)
    untranslated = schema.untranslated_rows(metadata)
    return metadata.num_rows - untranslated, untranslated


def _record_batch(rows: Sequence[Row], corpus: Corpus, source: str, target: str) -> pa.RecordBatch:
    values = {
        "source_language": source,
        "target_language": target,
        "source": [row.source for row in rows],
        "target": [row.target for row in rows],
        "corpus": corpus.name,
        "version": corpus.version,
        "licence": spdx(corpus.licence),
        "origin": [row.origin for row in rows],
        "synthetic": "",
    }
    columns = [
        pa.repeat(pa.scalar(value), len(rows)) if isinstance(value, str) else pa.array(value, pa.string())
        for value in (values[name] for name in PAIR.names)
    ]
    return pa.record_batch(columns, schema=PAIR)
