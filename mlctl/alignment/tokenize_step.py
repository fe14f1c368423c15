"""The first step of a part: its pairs in words, or set aside."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.alignment import arrow_io
from mlctl.alignment.word_tokenization import Span, Splitter

#: The rules that set a pair aside before it is aligned, in the order in which they are asked.
NO_WORDS, TOO_MANY_WORDS = "no words", "too many words"

WORDS, REJECTED = "words.parquet", "rejected.parquet"


def split(batches: Iterable[pa.RecordBatch], source: str, target: str, most: int, folder: Path) -> None:
    """Write pairs with their words to `words.parquet`, and those without words or with more than `most` to `rejected.parquet`."""
    splitters = Splitter(source), Splitter(target)
    with (
        pq.ParquetWriter(folder / WORDS, arrow_io.WORDS, compression="zstd") as words,
        pq.ParquetWriter(folder / REJECTED, schema.REJECTED, compression="zstd") as runtime_only,
    ):
        for batch in batches:
            sides = [_spans(splitter, batch[name]) for splitter, name in zip(splitters, ("source", "target"), strict=True)]
            rules = [_rule(len(a), len(b), most) for a, b in zip(*sides, strict=True)]
            kept = np.flatnonzero([rule is None for rule in rules])
            lists = [arrow_io.pair_lists([side[row] for row in kept], schema.SPAN) for side in sides]
            words.write_batch(pa.RecordBatch.from_arrays([*batch.take(pa.array(kept)).columns, *lists], schema=arrow_io.WORDS))
            dropped = np.flatnonzero([rule is not None for rule in rules])
            runtime_only.write_batch(arrow_io.rejected(batch.take(pa.array(dropped)), [rule for rule in rules if rule]))


def _spans(splitter: Splitter, texts: pa.StringArray) -> list[list[Span]]:
    return [splitter.spans(text or "") for text in texts.to_pylist()]


def _rule(source: int, target: int, most: int) -> str | None:
    if not (source and target):
        return NO_WORDS
    return TOO_MANY_WORDS if max(source, target) > most else None
