"""Pairs in, aligned pairs out: the Parquet side of word alignment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl import schema
from mlctl.alignment.aligner import Links, Pair, Sentence

#: The files of a piece that is aligned.
ALIGNED, FIGURES = "aligned.parquet", "figures.json"

#: Pairs with the words of both sides, not linked yet.
WORDS = pa.schema([field for field in schema.ALIGNED if field.name not in {"links", "confidences"}])


def pair_files(folders: Sequence[Path], language: str) -> list[Path]:
    """Return the files with pairs of a target language: `pairs/<t>.parquet`, then `pairs/<t>/*.parquet`, folder by folder."""
    found: list[Path] = []
    for folder in folders:
        one = folder / "pairs" / f"{language}.parquet"
        found += [one] if one.is_file() else []
        found += sorted((folder / "pairs" / language).glob("*.parquet"))
    return found


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """Return a table as one record batch."""
    found = table.combine_chunks().to_batches()
    return found[0] if found else pa.RecordBatch.from_pylist([], schema=table.schema)


def to_pairs(rows: pa.RecordBatch) -> list[Pair]:
    """Return rows of `WORDS` as an aligner takes them."""
    return list(zip(_sentences(rows, "source"), _sentences(rows, "target"), strict=True))


def _sentences(rows: pa.RecordBatch, side: str) -> list[Sentence]:
    spans = rows[f"{side}_words"]
    starts, ends = (spans.flatten().field(name).to_numpy().tolist() for name in ("start", "end"))
    flat = list(zip(starts, ends, strict=True))
    offsets = spans.offsets.to_numpy()
    places = (offsets - offsets[0]).tolist()
    return [Sentence(text, flat[places[row] : places[row + 1]]) for row, text in enumerate(rows[side].to_pylist())]


def pair_lists(rows: Sequence[npt.ArrayLike], kind: pa.StructType) -> pa.ListArray:
    """Return one list of (a, b) structs a row, from arrays (n, 2): word ranges or links."""
    arrays = [np.asarray(row, dtype=np.int32).reshape(-1, 2) for row in rows]
    flat = np.concatenate([np.empty((0, 2), np.int32), *arrays])
    columns = [pa.array(np.ascontiguousarray(flat[:, side])) for side in (0, 1)]
    structs = pa.StructArray.from_arrays(columns, fields=list(kind))
    return pa.ListArray.from_arrays(_offsets(arrays), structs, type=pa.list_(kind))


def aligned(words: pa.RecordBatch, links: Sequence[Links]) -> pa.RecordBatch:
    """Return rows of `WORDS` with their links, as rows of `schema.ALIGNED`."""
    sure = [found.confidence for found in links]
    values = pa.array(np.concatenate([np.empty(0, np.float32), *sure]), pa.float32())
    lists = [
        pair_lists([found.words for found in links], schema.LINK),
        pa.ListArray.from_arrays(_offsets(sure), values, type=schema.ALIGNED.field("confidences").type),
    ]
    return pa.RecordBatch.from_arrays([*words.columns, *lists], schema=schema.ALIGNED)


def _offsets(arrays: Sequence[npt.NDArray[np.generic]]) -> pa.Array:
    return pa.array(np.cumsum([0, *map(len, arrays)], dtype=np.int32))


def rejected(rows: pa.RecordBatch, rule: str | Sequence[str]) -> pa.RecordBatch:
    """Return pairs as rows of `schema.REJECTED`: with the rule that set them all aside, or with one for each."""
    rules = pa.array([rule] * rows.num_rows if isinstance(rule, str) else rule, pa.string())
    return pa.RecordBatch.from_arrays([*(rows[name] for name in schema.PAIR.names), rules], schema=schema.REJECTED)
