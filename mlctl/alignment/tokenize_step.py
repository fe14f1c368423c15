"""The step `tokenize`: splits the pairs of a part into words, and rejects those that cannot be aligned."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.alignment import arrow_io
from mlctl.alignment.language_job import LanguageJob
from mlctl.alignment.word_tokenization import Span, WordTokenizer
from mlctl.core import arrow

#: The rules that reject a pair before it is aligned, in the order in which they are applied.
NO_WORDS, TOO_MANY_WORDS = "no words", "too many words"

#: Those of the source and of the target language.
Tokenizers = tuple[WordTokenizer, WordTokenizer]


def tokenize_part(job: LanguageJob, part: int) -> None:
    """Split the pairs of a part of a language into words."""
    with job.scratch.part(job.tokenized_name(part)) as folder:
        folder.mkdir()
        batches = arrow.row_range(job.files, *job.parts[part], schema.PAIR.names)
        tokenize(batches, job.source, job.target, job.settings.max_words, folder)


def tokenize(batches: Iterable[pa.RecordBatch], source: str, target: str, max_words: int, folder: Path) -> None:
    """Write pairs with their words to `words.parquet`, and those with a side of no or more than `max_words` words to `rejected.parquet`."""
    tokenizers = tokenizers_of(source, target)
    with (
        pq.ParquetWriter(folder / arrow_io.WORDS_FILE, arrow_io.WORDS, compression="zstd") as words_writer,
        pq.ParquetWriter(folder / arrow_io.REJECTED_FILE, schema.REJECTED, compression="zstd") as rejected_writer,
    ):
        for batch in batches:
            words, rejected = tokenize_batch(batch, tokenizers, max_words)
            words_writer.write_batch(words)
            rejected_writer.write_batch(rejected)


def tokenizers_of(source: str, target: str) -> Tokenizers:
    """Return the tokenizers of a source and a target language."""
    return WordTokenizer(source), WordTokenizer(target)


def tokenize_batch(batch: pa.RecordBatch, tokenizers: Tokenizers, max_words: int) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Return pairs with their words, and those with a side of no or more than `max_words` words.

    Args:
        batch: rows of `schema.PAIR`.
        tokenizers: of the source and of the target language.
        max_words: maximum words of a side.

    Returns:
        Rows of `arrow_io.WORDS`, and rows of `schema.REJECTED`.
    """
    sides = [_spans(tokenizer, batch[name]) for tokenizer, name in zip(tokenizers, ("source", "target"), strict=True)]
    rules = [_rejecting_rule(len(a), len(b), max_words) for a, b in zip(*sides, strict=True)]
    accepted = np.flatnonzero([rule is None for rule in rules])
    lists = [arrow_io.to_list_array([side[row] for row in accepted], schema.SPAN) for side in sides]
    words = pa.RecordBatch.from_arrays([*batch.take(pa.array(accepted)).columns, *lists], schema=arrow_io.WORDS)
    rejected = batch.take(pa.array(np.flatnonzero([rule is not None for rule in rules])))
    return words, arrow_io.to_rejected(rejected, [rule for rule in rules if rule])


def _spans(tokenizer: WordTokenizer, texts: pa.StringArray) -> list[list[Span]]:
    return [tokenizer.spans(text or "") for text in texts.to_pylist()]


def _rejecting_rule(source_words: int, target_words: int, max_words: int) -> str | None:
    if not (source_words and target_words):
        return NO_WORDS
    return TOO_MANY_WORDS if max(source_words, target_words) > max_words else None
