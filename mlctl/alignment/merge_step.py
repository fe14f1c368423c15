"""The last step of a language: the tables of all its parts in one, unless its links are so few that something is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from mlctl import schema
from mlctl.alignment import arrow_io, tokenize_step
from mlctl.alignment.link_statistics import Figures
from mlctl.core import arrow
from mlctl.core.workspace import Workspace

if TYPE_CHECKING:
    from mlctl.alignment.language_job import Language

ENGINE_FAILED, TOO_FEW_LINKS = "engine failed", "too few links"

#: All rules that set pairs aside, in their order.
RULES = (tokenize_step.NO_WORDS, tokenize_step.TOO_MANY_WORDS, ENGINE_FAILED, TOO_FEW_LINKS)


class Outcome(BaseModel):
    """What became of a language: the counts of its links, and how many pairs each rule has set aside."""

    figures: Figures
    rejected: dict[str, int]

    @property
    def stopped(self) -> bool:
        """Tell whether the language was given up since too few of its words are linked."""
        return bool(self.rejected[TOO_FEW_LINKS])

    @property
    def pairs(self) -> int:
        """The pairs of the result."""
        return self.figures.pairs - self.rejected[TOO_FEW_LINKS]


def read_outcome(language: Language) -> Outcome:
    """Return what became of a finished language."""
    return Outcome.model_validate_json(language.outcome.read_text(encoding="utf-8"))


def write_outcome(language: Language) -> None:
    """Write `rejected/<t>.parquet`, `pairs/<t>.parquet` and, last, the outcome."""
    figures = Figures.total(map(_figures, _pieces(language)))
    stopped = bool(figures.pairs) and figures.linked < language.settings.min_link_coverage
    counts = dict.fromkeys(RULES, 0)
    workspace = language.workspace
    with workspace.part(f"rejected/{language.target}.parquet") as file:
        _write(file, schema.REJECTED, _rejected(language, stopped, counts))
    with workspace.part(f"pairs/{language.target}.parquet") as file:
        _write(file, schema.ALIGNED, iter(()) if stopped else _aligned(language))
    with Workspace(workspace.scratch).part(language.outcome.name) as file:
        file.write_text(Outcome(figures=figures, rejected=counts).model_dump_json(), encoding="utf-8")


def _pieces(language: Language) -> Iterator[Path]:
    for number in range(len(language.parts)):
        for piece in language.pieces(number)[0]:
            yield language.scratch.path(language.piece(number, piece))


def _figures(piece: Path) -> Figures:
    pairs, links, sure, source, target = json.loads((piece / arrow_io.FIGURES).read_text(encoding="utf-8"))
    return Figures(pairs, links, sure, tuple(source), tuple(target))


def _write(file: Path, fields: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with pq.ParquetWriter(file, fields, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def _aligned(language: Language) -> Iterator[pa.RecordBatch]:
    for piece in _pieces(language):
        yield from arrow.batches(piece / arrow_io.ALIGNED)


def _rejected(language: Language, stopped: bool, counts: dict[str, int]) -> Iterator[pa.RecordBatch]:
    """Yield all pairs that are set aside, part by part, and count them by their rules."""
    for number in range(len(language.parts)):
        for batch in _rejected_of_part(language, number, stopped):
            for entry in batch["rule"].value_counts().to_pylist():
                counts[entry["values"]] += entry["counts"]
            yield batch


def _rejected_of_part(language: Language, number: int, stopped: bool) -> Iterator[pa.RecordBatch]:
    yield from arrow.batches(language.words(number) / tokenize_step.REJECTED)
    pieces, failed = language.pieces(number)
    if failed:
        rows = pq.read_table(language.words_file(number), columns=schema.PAIR.names).take(failed)
        yield arrow_io.rejected(arrow_io.one_batch(rows), ENGINE_FAILED)
    for piece in pieces if stopped else ():
        for batch in arrow.batches(language.scratch.path(language.piece(number, piece)) / arrow_io.ALIGNED, schema.PAIR.names):
            yield arrow_io.rejected(batch, TOO_FEW_LINKS)
