"""Training rows: aligned pairs as token ids with the subword ranges of their word couples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl import schema
from mlctl.sharding import texts
from mlctl.sharding.spans import Encoder, Subwords
from mlctl.sharding.words import ContentWords, Couples, Side

Integers = npt.NDArray[np.int64]

#: A training row and its place in the order of the corpus, which is random and the same everywhere.
KEYED = schema.SHARD.append(pa.field("key", pa.uint64(), nullable=False))


def make(batch: pa.RecordBatch, content: ContentWords, encoder: Encoder, seed: int) -> pa.RecordBatch:
    """Turn aligned pairs into rows (KEYED, unsorted); pairs without a couple of words that both have exact ranges drop out."""
    subwords = {name: encoder.encode(batch[name].to_pylist()) for name in ("source", "target")}
    couples, bounds = _couple_ranges(batch, content.couples(batch), subwords)
    same = [texts.identities(batch[name].to_pylist()) for name in ("source", "target")]
    columns = {
        **{name: batch[name] for name in KEYED.names if name in batch.schema.names},
        "source_ids": _id_lists(subwords["source"]),
        "target_ids": _id_lists(subwords["target"]),
        "couples": _couple_lists(couples, bounds),
        "source_identity": pa.array(same[0]),
        "target_identity": pa.array(same[1]),
        "key": pa.array(_keys(batch, seed)),
    }
    rows = pa.RecordBatch.from_arrays([columns[name] for name in KEYED.names], schema=KEYED)
    return rows.filter(pa.array(np.diff(bounds) > 0))


def _couple_ranges(batch: pa.RecordBatch, couples: Couples, subwords: dict[str, Subwords]) -> tuple[Integers, Integers]:
    """Return subword ranges (N, 4) of the couples that have them, and where each row's begin (rows + 1)."""
    sides = [
        subwords[name].spans(couples.rows, Side.of(batch, name).ranges[words])
        for name, words in (("source", couples.source), ("target", couples.target))
    ]
    ranges = np.concatenate(sides, axis=1)
    exact = (ranges >= 0).all(axis=1)
    counts = np.bincount(couples.rows[exact], minlength=batch.num_rows)
    return ranges[exact], np.concatenate([[0], np.cumsum(counts)])


def _id_lists(subwords: Subwords) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(subwords.bounds, pa.int32()), pa.array(subwords.ids, pa.int32()))


def _couple_lists(ranges: Integers, bounds: Integers) -> pa.ListArray:
    columns = [pa.array(np.ascontiguousarray(ranges[:, place]), pa.int32()) for place in range(4)]
    structs = pa.StructArray.from_arrays(columns, fields=list(schema.COUPLE))
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), structs, type=pa.list_(schema.COUPLE))


def _keys(batch: pa.RecordBatch, seed: int) -> npt.NDArray[np.uint64]:
    columns = (batch[name].to_pylist() for name in ("target_language", "source", "target"))
    return texts.draws(["\0".join(row) for row in zip(*columns, strict=True)], seed, "order")
