"""Conversions between Arrow tables and the inputs and outputs of aligners, and the names of the files with these tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import overload

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


class PairBatches:
    """The pairs of batches of WORDS, for an aligner that takes pairs or one that reads columns.

    Attributes:
        batches: the batches, which are read once, in order.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Pair]:
        return itertools.chain.from_iterable(map(to_pairs, self.batches))


class PairRows(Sequence[Pair]):
    """The pairs of a batch of WORDS: made when they are read, and sliced as columns.

    Attributes:
        batches: the batch.
    """

    def __init__(self, rows: pa.RecordBatch) -> None:
        self.batches = (rows,)

    def __len__(self) -> int:
        length: int = self.batches[0].num_rows
        return length

    def __iter__(self) -> Iterator[Pair]:
        return iter(to_pairs(self.batches[0]))

    @overload
    def __getitem__(self, index: int) -> Pair: ...

    @overload
    def __getitem__(self, index: slice) -> PairRows: ...

    def __getitem__(self, index: int | slice) -> Pair | PairRows:
        if isinstance(index, int):
            return to_pairs(self.batches[0][range(len(self))[index] :][:1])[0]
        return PairRows(self.batches[0][index])


def words_of(rows: pa.RecordBatch, side: str) -> tuple[pa.StringArray, npt.NDArray[np.int64]]:
    """Return the words of a side of rows of `WORDS`, all in one array, and where those of each row begin and end (rows + 1,)."""
    texts, spans = rows[side], rows[f"{side}_words"]
    starts, ends = (spans.flatten().field(name).to_numpy().astype(np.int64) for name in ("start", "end"))
    bounds = spans.offsets.to_numpy().astype(np.int64)
    bounds -= bounds[0]
    first, last = texts.offset, texts.offset + len(texts)
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[first : last + 1].astype(np.int64)
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    # Spans count characters: the byte at which each character of all texts begins, and the character at which each text begins.
    character_bytes = np.append(np.flatnonzero((data & 0xC0) != 0x80), len(data))
    text_characters = np.searchsorted(character_bytes, offsets[:-1] - offsets[0])
    of_word = np.repeat(text_characters, np.diff(bounds))
    starts, ends = character_bytes[of_word + starts], character_bytes[of_word + ends]
    lengths = ends - starts
    word_offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    edges = np.zeros(len(data) + 1, np.int8)  # 1 where a word begins, -1 where one ends: words do not overlap
    edges[starts] += 1
    edges[ends] -= 1
    content = data[np.cumsum(edges[:-1], dtype=np.int8).view(bool)]
    buffers = [None, pa.py_buffer(word_offsets), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.large_string(), len(lengths), buffers), bounds


def to_list_array(rows: Sequence[Sequence[Sequence[int]] | npt.NDArray[np.int32]], struct: pa.StructType) -> pa.ListArray:
    """Return one list of (a, b) structs per row, from word spans or from arrays of links (n, 2)."""
    chain = itertools.chain.from_iterable
    flat = (
        np.fromiter(chain(chain(rows)), np.int32).reshape(-1, 2)
        if rows and isinstance(rows[0], list)
        else np.concatenate([np.empty((0, 2), np.int32), *rows])
    )
    columns = [pa.array(np.ascontiguousarray(flat[:, side])) for side in (0, 1)]
    structs = pa.StructArray.from_arrays(columns, fields=list(struct))
    return pa.ListArray.from_arrays(_offsets(rows), structs, type=pa.list_(struct))


def with_links(words: pa.RecordBatch, links: Sequence[Links]) -> pa.RecordBatch:
    """Return rows of `WORDS` with their links, as rows of `schema.ALIGNED`."""
    confidences = [pair.confidence for pair in links]
    values = pa.array(np.concatenate([np.empty(0, np.float32), *confidences]), pa.float32())
    lists = [
        to_list_array([pair.words for pair in links], schema.LINK),
        pa.ListArray.from_arrays(_offsets(confidences), values, type=schema.ALIGNED.field("confidences").type),
    ]
    return pa.RecordBatch.from_arrays([*words.columns, *lists], schema=schema.ALIGNED)


def _offsets(arrays: Sequence[Sized]) -> pa.Array:
    return pa.array(np.cumsum([0, *map(len, arrays)], dtype=np.int32))


def to_rejected(rows: pa.RecordBatch, rule: str | Sequence[str]) -> pa.RecordBatch:
    """Return pairs as rows of `schema.REJECTED`, with the rule that rejected all of them, or one rule per row."""
    rules = pa.array([rule] * rows.num_rows if isinstance(rule, str) else rule, pa.string())
    return pa.RecordBatch.from_arrays([*(rows[name] for name in schema.PAIR.names), rules], schema=schema.REJECTED)
