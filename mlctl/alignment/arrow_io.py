"""Conversions between Arrow tables and the inputs and outputs of aligners, and the names of the files with these tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl import schema
from mlctl.alignment.aligner import Links, Pair, Sentence

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
