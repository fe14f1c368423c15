"""Sentence and word pairs that choices of the training are made on: the dev pairs of a shard result, or its first training pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mlctl.config import MAX_DEV_PAIRS

#: Languages of which the pooling search uses pairs.
SEARCH_LANGUAGES = 8

_MIN_PAIRS = 2  # of a language: retrieval needs a wrong candidate
_MAX_WORD_PAIRS = 8  # of a sentence pair, so that retrieval takes time in proportion to the sentences
_COLUMNS = ["target_language", "source_ids", "target_ids", "word_pairs", "source_identity", "target_identity"]


class WordSpans(NamedTuple):
    """A word pair: the number of its sentence pair, and half-open subword ranges on both sides."""

    row: int
    source: tuple[int, int]
    target: tuple[int, int]


class DevPairs(NamedTuple):
    """Sentence pairs of one language as token ids; `identities` (N, 2) are equal in a column for equal sentences."""

    language: str
    source: Sequence[Sequence[int]]
    target: Sequence[Sequence[int]]
    identities: torch.Tensor
    words: Sequence[WordSpans] = ()


def read_dev_set(sharded: Path, max_languages: int | None = None) -> list[DevPairs]:
    """Return the dev pairs of each target language of a shard result, equally many of each, at most `MAX_DEV_PAIRS` in all.

    A language with more pairs than that is represented by evenly spaced ones. Each language has at least two, or is left out.
    """
    files = [file for file in sorted((sharded / "dev").glob("*.parquet")) if pq.read_metadata(file).num_rows >= _MIN_PAIRS]
    files = files[:max_languages]
    return [_pairs(_evenly(pq.read_table(file, columns=_COLUMNS), _pairs_of_each(len(files)))) for file in files]


def read_dev_pairs(sharded: Path) -> list[DevPairs]:
    """Return pairs of at most `SEARCH_LANGUAGES` languages to search a pooling on: dev pairs, or without any, training pairs."""
    return read_dev_set(sharded, SEARCH_LANGUAGES) or _first_training_pairs(sharded)


def _first_training_pairs(sharded: Path) -> list[DevPairs]:
    rows: dict[str, list[dict[str, Any]]] = {}
    files = sorted((sharded / "train").glob("*.parquet"))
    languages = sorted(
        {name for file in files for name in pq.read_table(file, columns=_COLUMNS[:1])[_COLUMNS[0]].unique().to_pylist()}
    )
    wanted = _pairs_of_each(min(len(languages), SEARCH_LANGUAGES))
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(columns=_COLUMNS):
            for row in batch.to_pylist():
                found = rows.setdefault(row["target_language"], [])
                if len(found) < wanted:
                    found.append(row)
            if all(len(rows.get(language, ())) >= wanted for language in languages):
                break
    return [_pairs(rows[language]) for language in sorted(rows)[:SEARCH_LANGUAGES] if len(rows[language]) >= _MIN_PAIRS]


def _pairs_of_each(languages: int) -> int:
    return max(MAX_DEV_PAIRS // max(1, languages), _MIN_PAIRS)


def _evenly(table: pa.Table, count: int) -> list[dict[str, Any]]:
    """Return at most `count` evenly spaced rows: the rows of a corpus are next to each other."""
    count = min(count, table.num_rows)
    rows: list[dict[str, Any]] = table.take([number * table.num_rows // count for number in range(count)]).to_pylist()
    return rows


def _pairs(rows: Sequence[Mapping[str, Any]]) -> DevPairs:
    identities = torch.tensor([[row["source_identity"], row["target_identity"]] for row in rows])
    words = [
        WordSpans(
            number,
            (word_pair["source_start"], word_pair["source_end"]),
            (word_pair["target_start"], word_pair["target_end"]),
        )
        for number, row in enumerate(rows)
        for word_pair in row["word_pairs"][:_MAX_WORD_PAIRS]
    ]
    source, target = ([row[f"{side}_ids"] for row in rows] for side in ("source", "target"))
    return DevPairs(rows[0]["target_language"], source, target, identities, words)
