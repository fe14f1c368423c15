"""Writes the rows of a corpus to Parquet, and counts them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.corpora.corpus import Corpus, Row
from mlctl.corpora.licences import spdx
from mlctl.schema import PAIR

_BATCH_ROWS = 8192
_BATCH_CHARACTERS = 2**27  # thousands a row: only of text that is not in sentences


class Provenance(NamedTuple):
    """What all rows of a file have in common, by column of the schema PAIR."""

    source_language: str
    target_language: str
    corpus: str
    version: str
    licence: str

    @classmethod
    def of(cls, corpus: Corpus, source: str, target: str) -> Provenance:
        """Return that of a corpus's text in one target language."""
        return cls(source, target, corpus.name, corpus.version, spdx(corpus.licence))


def write(path: Path, rows: Iterable[Row], provenance: Provenance) -> None:
    """Write rows in the schema PAIR, batch by batch."""
    with pq.ParquetWriter(path, PAIR, compression="zstd") as writer:
        for batch in _batches(rows):
            writer.write_batch(_record_batch(batch, provenance))


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


def _record_batch(rows: Sequence[Row], provenance: Provenance) -> pa.RecordBatch:
    values = {
        **provenance._asdict(),
        "source": [row.source for row in rows],
        "target": [row.target for row in rows],
        "origin": [row.origin for row in rows],
        "synthetic": "",
        "scores": [None if row.scores is None else list(row.scores.items()) for row in rows],
    }
    columns = [
        pa.repeat(pa.scalar(value), len(rows)) if isinstance(value, str) else pa.array(value, field.type)
        for field, value in ((field, values[field.name]) for field in PAIR)
    ]
    return pa.record_batch(columns, schema=PAIR)
