"""Training rows: aligned pairs as token ids with the subword spans of their word pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl import schema
from mlctl.core.random import text_draws
from mlctl.sharding.content_words import ContentWords, SideWords, WordPairs
from mlctl.sharding.spaced_text import space_words
from mlctl.sharding.subword_spans import SpanTokenizer, TokenizedTexts

Integers = npt.NDArray[np.int64]

#: A training row with its sort key, which is random and equal on every machine, and a hash of the source word of each word pair.
KEYED_ROWS = schema.SHARD.append(pa.field("key", pa.uint64(), nullable=False)).append(
    pa.field("word_pair_words", pa.list_(pa.uint64()), nullable=False)
)


class MadeRows(NamedTuple):
    """Rows (KEYED_ROWS, unsorted), and the numbers of pairs that were dropped: too long, and else without a word pair."""

    rows: pa.RecordBatch
    too_long: int
    without_word_pair: int


def make_rows(
    batch: pa.RecordBatch,
    identities: Integers,
    content: ContentWords,
    tokenizer: SpanTokenizer,
    seed: int,
    drop_too_long: bool = False,
    spaced_share: float = 0.0,
) -> MadeRows:
    """Turn aligned pairs into rows; pairs without a word pair that has exact spans on both sides are dropped.

    Args:
        batch: the pairs (ALIGNED).
        identities: of both sides (pairs, 2).
        content: which words form word pairs.
        tokenizer: of the shards.
        seed: seed of the order of the rows.
        drop_too_long: drop pairs with a side that the tokenizer truncates.
        spaced_share: share of the texts of either side whose words are separated by spaces.
    """
    source, target = SideWords.of(batch, "source"), SideWords.of(batch, "target")
    word_pairs = content.word_pairs(batch, source, target)
    sides = {name: space_words(side, spaced_share, seed, name) for name, side in (("source", source), ("target", target))}
    tokenized = {name: tokenizer.tokenise(side.texts) for name, side in sides.items()}
    spans, exact = _word_pair_spans(sides, word_pairs, tokenized)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(word_pairs.rows[exact], minlength=batch.num_rows))])
    columns = {
        **{name: batch[name] for name in KEYED_ROWS.names if name in batch.schema.names},
        "source_ids": _id_lists(tokenized["source"]),
        "target_ids": _id_lists(tokenized["target"]),
        "word_pairs": _word_pair_lists(spans, bounds),
        "word_pair_words": pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), pa.array(word_pairs.words[exact])),
        "source_identity": pa.array(identities[:, 0]),
        "target_identity": pa.array(identities[:, 1]),
        "key": pa.array(_keys(batch, seed)),
    }
    rows = pa.RecordBatch.from_arrays([columns[name] for name in KEYED_ROWS.names], schema=KEYED_ROWS)
    too_long = (tokenized["source"].is_truncated | tokenized["target"].is_truncated) & drop_too_long
    kept = ~too_long & (np.diff(bounds) > 0)
    dropped = int(np.count_nonzero(too_long))
    return MadeRows(rows.filter(pa.array(kept)), dropped, batch.num_rows - dropped - int(np.count_nonzero(kept)))


def _word_pair_spans(
    sides: dict[str, SideWords], word_pairs: WordPairs, tokenized: dict[str, TokenizedTexts]
) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return the subword spans (N, 4) of the word pairs that have exact ones, and which of all word pairs these are."""
    side_spans = []
    for name, words in (("source", word_pairs.source), ("target", word_pairs.target)):
        ranges = sides[name].ranges
        characters = np.stack([ranges[words[:, 0], 0], ranges[words[:, 1] - 1, 1]], axis=1)
        side_spans.append(tokenized[name].spans(word_pairs.rows, characters))
    spans = np.concatenate(side_spans, axis=1)
    exact: npt.NDArray[np.bool_] = np.all(spans >= 0, axis=1)
    return spans[exact], exact


def _id_lists(tokenized: TokenizedTexts) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(tokenized.bounds, pa.int32()), pa.array(tokenized.ids, pa.int32()))


def _word_pair_lists(spans: Integers, bounds: Integers) -> pa.ListArray:
    columns = [pa.array(np.ascontiguousarray(spans[:, column]), pa.int32()) for column in range(4)]
    structs = pa.StructArray.from_arrays(columns, fields=list(schema.WORD_PAIR))
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), structs, type=pa.list_(schema.WORD_PAIR))


def _keys(batch: pa.RecordBatch, seed: int) -> npt.NDArray[np.uint64]:
    columns = (batch[name].to_pylist() for name in ("target_language", "source", "target"))
    return text_draws(["\0".join(row) for row in zip(*columns, strict=True)], seed, "order")
