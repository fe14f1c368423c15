"""Reads sentence pairs from Parquet files, and converts between Arrow tables and what aligners take and return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.alignment.aligner import Links, Pair, Sentence

BATCH_ROWS = 8192  # rows in memory at a time

#: The files of a tokenised part, and those of an aligned range of it.
WORDS_FILE, REJECTED_FILE = "words.parquet", "rejected.parquet"
ALIGNED_FILE, STATISTICS_FILE = "aligned.parquet", "statistics.json"

#: Pairs with the words of both sides, not aligned yet.
WORDS = pa.schema([field for field in schema.ALIGNED if field.name not in {"links", "confidences"}])


def pair_files(folders: Sequence[Path], language: str) -> list[Path]:
    """Return the files with pairs of a target language: `pairs/<t>.parquet`, then `pairs/<t>/*.parquet`, folder by folder."""
    files: list[Path] = []
    for folder in folders:
        single = folder / "pairs" / f"{language}.parquet"
        files += [single] if single.is_file() else []
        files += sorted((folder / "pairs" / language).glob("*.parquet"))
    return files


def count_rows(file: Path) -> int:
    """Return the number of rows of a Parquet file, from its footer."""
    return int(pq.read_metadata(file).num_rows)


def read_batches(file: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file in record batches of at most `BATCH_ROWS` rows."""
    with pq.ParquetFile(file) as parquet:
        yield from parquet.iter_batches(batch_size=BATCH_ROWS, columns=columns)


def read_rows(files: Sequence[Path], first: int, last: int) -> Iterator[pa.RecordBatch]:
    """Yield the pairs `first` to `last` (exclusive), counted over all files in order; only row groups that contain some are read."""
    start = 0
    for file in files:
        with pq.ParquetFile(file) as parquet:
            for group in range(parquet.num_row_groups):
                size = parquet.metadata.row_group(group).num_rows
                if start < last and first < start + size:
                    yield from _read_group_rows(parquet, group, first - start, last - start)
                start += size


def _read_group_rows(parquet: pq.ParquetFile, group: int, first: int, last: int) -> Iterator[pa.RecordBatch]:
    for batch in parquet.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=schema.PAIR.names):
        low, high = max(first, 0), min(last, batch.num_rows)
        if low < high:
            yield batch.slice(low, high - low).select(schema.PAIR.names)
        first, last = first - batch.num_rows, last - batch.num_rows


def to_batch(table: pa.Table) -> pa.RecordBatch:
    """Return a table as one record batch."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def to_pairs(rows: pa.RecordBatch) -> list[Pair]:
    """Return rows of `WORDS` as an aligner takes them."""
    return list(zip(_sentences(rows, "source"), _sentences(rows, "target"), strict=True))


def _sentences(rows: pa.RecordBatch, side: str) -> list[Sentence]:
    spans = rows[f"{side}_words"]
    starts, ends = (spans.flatten().field(name).to_numpy().tolist() for name in ("start", "end"))
    flat_spans = list(zip(starts, ends, strict=True))
    offsets = spans.offsets.to_numpy()
    bounds = (offsets - offsets[0]).tolist()
    return [Sentence(text, flat_spans[bounds[row] : bounds[row + 1]]) for row, text in enumerate(rows[side].to_pylist())]


def to_list_array(rows: Sequence[npt.ArrayLike], struct: pa.StructType) -> pa.ListArray:
    """Return one list of (a, b) structs per row, from arrays (n, 2): word spans or links."""
    arrays = [np.asarray(row, dtype=np.int32).reshape(-1, 2) for row in rows]
    flat = np.concatenate([np.empty((0, 2), np.int32), *arrays])
    columns = [pa.array(np.ascontiguousarray(flat[:, side])) for side in (0, 1)]
    structs = pa.StructArray.from_arrays(columns, fields=list(struct))
    return pa.ListArray.from_arrays(_offsets(arrays), structs, type=pa.list_(struct))


def with_links(words: pa.RecordBatch, links: Sequence[Links]) -> pa.RecordBatch:
    """Return rows of `WORDS` with their links, as rows of `schema.ALIGNED`."""
    confidences = [pair.confidence for pair in links]
    values = pa.array(np.concatenate([np.empty(0, np.float32), *confidences]), pa.float32())
    lists = [
        to_list_array([pair.words for pair in links], schema.LINK),
        pa.ListArray.from_arrays(_offsets(confidences), values, type=schema.ALIGNED.field("confidences").type),
    ]
    return pa.RecordBatch.from_arrays([*words.columns, *lists], schema=schema.ALIGNED)


def _offsets(arrays: Sequence[npt.NDArray[np.generic]]) -> pa.Array:
    return pa.array(np.cumsum([0, *map(len, arrays)], dtype=np.int32))


def to_rejected(rows: pa.RecordBatch, rule: str | Sequence[str]) -> pa.RecordBatch:
    """Return pairs as rows of `schema.REJECTED`, with the rule that rejected all of them, or one rule per row."""
    rules = pa.array([rule] * rows.num_rows if isinstance(rule, str) else rule, pa.string())
    return pa.RecordBatch.from_arrays([*(rows[name] for name in schema.PAIR.names), rules], schema=schema.REJECTED)
