"""One language's work in steps that leave files behind: split into words, learn, link part by part, write the tables."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from mlctl import schema
from mlctl.alignment import arrow_io, registry, tokenize_step
from mlctl.alignment.aligner import Aligner, Links, Pair
from mlctl.alignment.link_statistics import figures_of
from mlctl.alignment.merge_step import write_outcome
from mlctl.config.align import Align
from mlctl.core import arrow
from mlctl.core.workspace import Workspace

StepName = Literal["split", "learn", "link", "finish"]

#: A range of the rows of a part that has words: first, last (not counted).
Piece = tuple[int, int]


class Language(BaseModel):
    """One target language, as it is told to a process."""

    model_config = ConfigDict(frozen=True)

    settings: Align
    source: str
    target: str
    seed: int
    files: tuple[Path, ...]
    root: Path
    priors: Path | None = None
    encoder: Path | None = None
    threads: int = 1

    @functools.cached_property
    def parts(self) -> list[Piece]:
        """The ranges of rows that are worked on at a time."""
        rows = sum(map(arrow.row_count, self.files))
        return [(first, min(first + self.settings.part_rows, rows)) for first in range(0, rows, self.settings.part_rows)]

    @property
    def workspace(self) -> Workspace:
        """Where the tables go."""
        return Workspace(self.root)

    @property
    def scratch(self) -> Workspace:
        """Where finished steps leave what the next ones need."""
        return Workspace(self.workspace.scratch / f"align-{self.target}")

    @property
    def model(self) -> str:
        """The name of the part with what was learned."""
        return f"models/{self.target}"

    @property
    def outcome(self) -> Path:
        """The file that is written last: there, the language is finished."""
        return self.workspace.scratch / f"align-{self.target}.json"

    @property
    def finished(self) -> bool:
        """Tell whether the tables are whole."""
        return self.outcome.exists() and self.workspace.has(f"pairs/{self.target}.parquet")

    def missing(self, step: StepName) -> list[int]:
        """Return the numbers of the parts for which a step is not done; [0] for what is done once."""
        if step == "learn":
            return [] if self.workspace.has(self.model) else [0]
        if step == "finish":
            return [] if self.finished else [0]
        done = self.words if step == "split" else self.pieces_file
        return [number for number in range(len(self.parts)) if not done(number).exists()]

    def words(self, number: int) -> Path:
        """Return the folder of a part that is split into words."""
        return self.scratch.path(f"split/{number:06}")

    def words_file(self, number: int) -> Path:
        """Return the file with the words of a part."""
        return self.words(number) / tokenize_step.WORDS

    def pieces_file(self, number: int) -> Path:
        """Return the file that says in which pieces a part was aligned, and which rows could not be: there, the part is done."""
        return self.scratch.path(f"linked/{number:06}/pieces.json")

    def piece(self, number: int, piece: Piece) -> str:
        """Return the name in the scratch folder of a piece of a part that is aligned."""
        return f"linked/{number:06}/{piece[0]:06}-{piece[1]:06}"

    def pieces(self, number: int) -> tuple[list[Piece], list[int]]:
        """Return the pieces in which a part was aligned, and the rows that could not be."""
        told = json.loads(self.pieces_file(number).read_text(encoding="utf-8"))
        return [(first, last) for first, last in told["pieces"]], told["failed"]

    def put_pieces(self, number: int, pieces: list[Piece], failed: list[int]) -> None:
        """Write down that a part is done."""
        with self.scratch.part(f"linked/{number:06}/pieces.json") as path:
            path.write_text(json.dumps({"pieces": pieces, "failed": failed}), encoding="utf-8")

    def size(self, number: int) -> int:
        """Return the rows with words of a part."""
        return arrow.row_count(self.words_file(number))

    @functools.cached_property
    def sizes(self) -> list[int]:
        """The rows with words of each part, once all are split."""
        file = self.scratch.path("sizes.json")
        if not file.exists():  # written once: parts would read each other's footers again and again
            with self.scratch.part(file.name) as path:
                path.write_text(json.dumps([self.size(number) for number in range(len(self.parts))]), encoding="utf-8")
        found: list[int] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def sample(self, number: int) -> Any:
        """Return which rows of a part are learned from: at most `train_pairs` of all, spread evenly (N,)."""
        total, first = sum(self.sizes), sum(self.sizes[:number])
        most = min(self.settings.train_pairs, total)
        rows = np.arange(first, first + self.sizes[number], dtype=np.int64)
        return np.flatnonzero((rows + 1) * most // max(total, 1) > rows * most // max(total, 1))

    def split(self, number: int) -> None:
        """Split the pairs of a part into words."""
        with self.scratch.part(f"split/{number:06}") as folder:
            folder.mkdir()
            rows = arrow.row_range(self.files, *self.parts[number], schema.PAIR.names)
            tokenize_step.split(rows, self.source, self.target, self.settings.max_words, folder)

    def learn(self) -> None:
        """Train a model on a sample of all parts."""
        with self.workspace.part(self.model) as folder:
            folder.mkdir()
            if sum(self.sizes):
                aligner = registry.new(
                    self.settings, self.source, self.target, self.seed, self.priors, self.encoder, self.threads
                )
                aligner.train(self._training())
                aligner.save(folder)

    def _training(self) -> Iterator[Pair]:
        for number in range(len(self.parts)):
            chosen, start = self.sample(number), 0
            for batch in arrow.batches(self.words_file(number)):
                here = chosen[(chosen >= start) & (chosen < start + batch.num_rows)] - start
                yield from arrow_io.to_pairs(batch.take(pa.array(here)))
                start += batch.num_rows

    def link(self, number: int, piece: Piece) -> None:
        """Align rows of a part with the model, in one call."""
        first, last = piece
        rows = arrow_io.one_batch(pq.read_table(self.words_file(number))).slice(first, last - first)
        pairs = arrow_io.to_pairs(rows)
        found = arrow_io.aligned(rows, _links(self, pairs))
        with self.scratch.part(self.piece(number, piece)) as folder:
            folder.mkdir()
            pq.write_table(
                pa.Table.from_batches([found]), folder / arrow_io.ALIGNED, compression="zstd", row_group_size=arrow.BATCH_ROWS
            )
            (folder / arrow_io.FIGURES).write_text(json.dumps(figures_of(found)), encoding="utf-8")

    def finish(self) -> None:
        """Write the tables of all parts."""
        write_outcome(self)


class Step(BaseModel):
    """One thing to do for a language; `split` and `link` have the number of a part, `link` a piece of it."""

    model_config = ConfigDict(frozen=True)

    language: Language
    name: StepName
    part: int = 0
    piece: Piece = (0, 0)

    def do(self) -> None:
        """Do it."""
        if self.name == "split":
            self.language.split(self.part)
        elif self.name == "learn":
            self.language.learn()
        elif self.name == "link":
            self.language.link(self.part, self.piece)
        else:
            self.language.finish()


def _links(language: Language, pairs: list[Pair]) -> list[Links]:
    return _loaded(language.model_dump_json()).align(pairs) if pairs else []


@functools.lru_cache(1)
def _loaded(told: str) -> Aligner:
    """Return the trained aligner of a language; a process keeps the last one."""
    language = Language.model_validate_json(told)
    folder = language.workspace.path(language.model)
    return registry.load(language.settings, language.source, language.target, language.seed, folder, language.encoder)
