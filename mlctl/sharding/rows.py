"""Training rows: aligned pairs as token ids with the subword ranges of their word pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl import schema
from mlctl.core.random import text_draws
from mlctl.sharding import texts
from mlctl.sharding.content_words import ContentWords, Side, WordPairs
from mlctl.sharding.subword_spans import Encoder, Subwords

Integers = npt.NDArray[np.int64]

#: A training row, its place in the order of the corpus, which is random and the same everywhere, and for each word pair the
#: hash of its source word.
KEYED = schema.SHARD.append(pa.field("key", pa.uint64(), nullable=False)).append(
    pa.field("word_pair_words", pa.list_(pa.uint64()), nullable=False)
)


def make(batch: pa.RecordBatch, content: ContentWords, encoder: Encoder, seed: int) -> pa.RecordBatch:
    """Turn aligned pairs into rows (KEYED, unsorted); pairs without a word pair of words that both have exact ranges drop out."""
    subwords = {name: encoder.encode(batch[name].to_pylist()) for name in ("source", "target")}
    found = content.word_pairs(batch)
    word_pairs, exact = _word_pair_ranges(batch, found, subwords)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(found.rows[exact], minlength=batch.num_rows))])
    same = [texts.identities(batch[name].to_pylist()) for name in ("source", "target")]
    columns = {
        **{name: batch[name] for name in KEYED.names if name in batch.schema.names},
        "source_ids": _id_lists(subwords["source"]),
        "target_ids": _id_lists(subwords["target"]),
        "word_pairs": _word_pair_lists(word_pairs, bounds),
        "word_pair_words": pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), pa.array(found.words[exact])),
        "source_identity": pa.array(same[0]),
        "target_identity": pa.array(same[1]),
        "key": pa.array(_keys(batch, seed)),
    }
    rows = pa.RecordBatch.from_arrays([columns[name] for name in KEYED.names], schema=KEYED)
    return rows.filter(pa.array(np.diff(bounds) > 0))


def _word_pair_ranges(
    batch: pa.RecordBatch, word_pairs: WordPairs, subwords: dict[str, Subwords]
) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return subword ranges (N, 4) of the word pairs that have them, and which of all word pairs they are."""
    sides = []
    for name, blocks in (("source", word_pairs.source), ("target", word_pairs.target)):
        places = Side.of(batch, name).ranges
        characters = np.stack([places[blocks[:, 0], 0], places[blocks[:, 1] - 1, 1]], axis=1)
        sides.append(subwords[name].spans(word_pairs.rows, characters))
    ranges = np.concatenate(sides, axis=1)
    exact: npt.NDArray[np.bool_] = np.all(ranges >= 0, axis=1)
    return ranges[exact], exact


def _id_lists(subwords: Subwords) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(subwords.bounds, pa.int32()), pa.array(subwords.ids, pa.int32()))


def _word_pair_lists(ranges: Integers, bounds: Integers) -> pa.ListArray:
    columns = [pa.array(np.ascontiguousarray(ranges[:, place]), pa.int32()) for place in range(4)]
    structs = pa.StructArray.from_arrays(columns, fields=list(schema.WORD_PAIR))
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), structs, type=pa.list_(schema.WORD_PAIR))


def _keys(batch: pa.RecordBatch, seed: int) -> npt.NDArray[np.uint64]:
    columns = (batch[name].to_pylist() for name in ("target_language", "source", "target"))
    return text_draws(["\0".join(row) for row in zip(*columns, strict=True)], seed, "order")
