"""Sentences on disk: tables of text and origin, Arrow IPC files that are memory-mapped, so that any row is read without the others."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict

from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError
from mlctl.mining.sentence_splitting import split_sentences

SENTENCES = pa.schema([pa.field("text", pa.string(), nullable=False), pa.field("origin", pa.string(), nullable=False)])

_BATCH_ROWS = 8192
_LETTERS = regex.compile(r"\p{L}")


class TextFile(BaseModel):
    """A file of text: `name` is its path below the folder that the recipe names, the same on every machine."""

    model_config = ConfigDict(frozen=True)

    path: Path
    name: str


class Sentence(NamedTuple):
    """A sentence with its position, `file:line` or, of a line with several, `file:line/number`."""

    text: str
    origin: str


@dataclass
class SentenceFilter:
    """Leaves out what is no sentence, and counts it.

    Attributes:
        max_characters: of a sentence.
        min_letters: of a sentence.
        left_out: sentences that were longer or had fewer letters.
    """

    max_characters: int
    min_letters: int
    left_out: int = 0

    def keeps(self, text: str) -> bool:
        """Return whether a text is a sentence; count it if not."""
        letters = itertools.islice(_LETTERS.finditer(text), self.min_letters)
        kept = len(text) <= self.max_characters and sum(1 for _ in letters) == self.min_letters
        self.left_out += not kept
        return kept


def read_sentences(file: TextFile, language: str, split: bool) -> Iterator[Sentence]:
    """Yield the sentences of a file; `split`: a line is a paragraph, else a sentence. Empty lines are skipped.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    for number, line in numbered_lines(file.path):
        yield from sentences_of(line, f"{file.name}:{number}", language, split)


def sentences_of(line: str, origin: str, language: str, split: bool) -> Iterator[Sentence]:
    """Yield the sentences of a line."""
    sentences = split_sentences(line, language) if split else [line.strip()] if line.strip() else []
    for number, sentence in enumerate(sentences, 1):
        yield Sentence(sentence, origin if len(sentences) == 1 else f"{origin}/{number}")


def write_table(path: Path, rows: Iterable[Sentence]) -> int:
    """Write sentences, batch by batch, and return their number."""
    count, remaining = 0, iter(rows)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SENTENCES) as writer:
        while batch := list(itertools.islice(remaining, _BATCH_ROWS)):
            writer.write_batch(pa.record_batch([list(column) for column in zip(*batch, strict=True)], schema=SENTENCES))
            count += len(batch)
    return count


def read_table(path: Path) -> pa.Table:
    """Return the sentences of a file, memory-mapped."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def rows_of(path: Path) -> Iterator[Sentence]:
    """Yield the sentences of a file in order."""
    for batch in read_table(path).to_batches():
        yield from map(Sentence, batch.column(0).to_pylist(), batch.column(1).to_pylist())


class SentenceTables:
    """Sentences in several files as one table.

    Args:
        paths: in order.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._tables = [read_table(path) for path in paths]
        self._starts = np.cumsum([0, *(table.num_rows for table in self._tables)])

    def take(self, rows: npt.NDArray[np.int64]) -> list[Sentence]:
        """Return rows, counted through all files, in the order of `rows`."""
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        found: list[Sentence | None] = [None] * len(rows)
        for number in np.unique(numbers):
            places = np.flatnonzero(numbers == number)
            part = self._tables[number].take(pa.array(rows[places] - self._starts[number]))
            for place, sentence in zip(places.tolist(), map(Sentence, *(column.to_pylist() for column in part)), strict=True):
                found[place] = sentence
        return [sentence for sentence in found if sentence]


def no_text(source: str, where: str, reasons: Sequence[str]) -> InputError:
    """Return the error of text without a sentence; `reasons`: why documents were set aside."""
    problem = f"{source}: {where} has no sentences" + (f"; {reasons[0]}" if reasons else "")
    return InputError(problem, "check the files: UTF-8 text, plain, .gz, .xz or .zst, with letters")
