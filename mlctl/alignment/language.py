"""Word alignment of one target language: what one process does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from mlctl import schema
from mlctl.alignment import tables
from mlctl.alignment.engines import Engine, ThotEngine
from mlctl.alignment.words import Span, Splitter, normalised
from mlctl.config import Align
from mlctl.workspace import Workspace, discard

#: The rules that set a pair aside, in the order in which they are asked.
RULES = ("no words", "too many words")


class Job(BaseModel):
    """One target language's work, as it is told to a process."""

    source: str
    target: str
    seed: int
    files: tuple[Path, ...]
    root: Path
    settings: Align


def pairs_part(language: str) -> str:
    """Return the name of the part with a language's aligned pairs. It is written last: there, the language is finished."""
    return f"pairs/{language}.parquet"


def rejected_part(language: str) -> str:
    """Return the name of the part with the pairs of a language that were set aside."""
    return f"rejected/{language}.parquet"


def align_language(job: Job) -> None:
    """Split the pairs of one language into words, learn from them all, and write each with its links."""
    workspace = Workspace(job.root)
    engine = ThotEngine(job.settings.engine, job.settings.symmetrisation, job.seed)
    split = workspace.scratch / f"words-{job.target}.parquet"
    with workspace.part(rejected_part(job.target)) as rejected:
        _split(job, engine, split, rejected)
    if pq.read_metadata(split).num_rows:
        engine.fit()
    with workspace.part(pairs_part(job.target)) as aligned:
        _write_links(engine, split, aligned)
    discard(split)


def _split(job: Job, engine: Engine, split: Path, rejected: Path) -> None:
    splitters = Splitter(job.source), Splitter(job.target)
    with (
        pq.ParquetWriter(split, tables.WORDS, compression="zstd") as words,
        pq.ParquetWriter(rejected, schema.REJECTED, compression="zstd") as aside,
    ):
        for batch in _pairs(job.files):
            sides = [_spans(splitter, batch[name]) for splitter, name in zip(splitters, ("source", "target"), strict=True)]
            rules = [_rule(len(source), len(target), job.settings.max_words) for source, target in zip(*sides, strict=True)]
            kept = np.flatnonzero([rule is None for rule in rules])
            _feed(engine, batch.take(pa.array(kept)), [[side[row] for row in kept] for side in sides], words)
            _set_aside(batch, rules, aside)


def _pairs(files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for file in files:
        for batch in tables.batches(file, schema.PAIR.names):
            yield batch.select(schema.PAIR.names)


def _spans(splitter: Splitter, texts: pa.StringArray) -> list[list[Span]]:
    return [splitter.spans(text or "") for text in texts.to_pylist()]


def _rule(source: int, target: int, most: int) -> str | None:
    if not (source and target):
        return RULES[0]
    return RULES[1] if max(source, target) > most else None


def _feed(engine: Engine, batch: pa.RecordBatch, sides: list[list[list[Span]]], writer: pq.ParquetWriter) -> None:
    texts = batch["source"].to_pylist(), batch["target"].to_pylist()
    for source, target, source_spans, target_spans in zip(*texts, *sides, strict=True):
        engine.add(_words(source, source_spans), _words(target, target_spans))
    spans = [tables.pair_lists(side, schema.SPAN) for side in sides]
    writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, *spans], schema=tables.WORDS))


def _words(text: str, spans: list[Span]) -> list[str]:
    return [normalised(text[start:end]) for start, end in spans]


def _set_aside(batch: pa.RecordBatch, rules: list[str | None], writer: pq.ParquetWriter) -> None:
    rows = np.flatnonzero([rule is not None for rule in rules])
    if len(rows):
        named = pa.array([rules[row] for row in rows])
        writer.write_batch(pa.RecordBatch.from_arrays([*batch.take(pa.array(rows)).columns, named], schema=schema.REJECTED))


def _write_links(engine: Engine, split: Path, aligned: Path) -> None:
    row = 0
    with pq.ParquetWriter(aligned, schema.ALIGNED, compression="zstd") as writer:
        for batch in tables.batches(split):
            links = [engine.links(row + place) for place in range(batch.num_rows)]
            columns = [*batch.columns, tables.pair_lists(links, schema.LINK)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema.ALIGNED))
            row += batch.num_rows
