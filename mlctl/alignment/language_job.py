"""The word alignment of one language: where its steps store their results, and which steps are not done yet."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from mlctl.alignment import arrow_io
from mlctl.config.align import Align
from mlctl.core import arrow
from mlctl.core.workspace import Workspace

#: tokenize: the pairs of a part into words; train: a model; align: the pairs of a part; merge: all parts into tables.
Phase = Literal["tokenize", "train", "align", "merge"]

#: The phases that have a step a part; the others have one step.
PHASES_OF_PARTS: tuple[Phase, ...] = ("tokenize", "align")

#: A range of rows: first, last (exclusive).
RowRange = tuple[int, int]


class LanguageJob(BaseModel):
    """The word alignment of one target language. Workers get it as JSON."""

    model_config = ConfigDict(frozen=True)

    phases: ClassVar[tuple[Phase, ...]] = ("tokenize", "train", "align", "merge")
    preparation: ClassVar[tuple[Phase, ...]] = ("tokenize", "train")

    settings: Align
    source: str
    target: str
    seed: int
    files: tuple[Path, ...]
    pairs: int  # in all files
    root: Path
    priors: Path | None = None
    encoder: Path | None = None
    threads: int = 1

    @functools.cached_property
    def parts(self) -> list[RowRange]:
        """The rows of each part, of all files in order."""
        size = self.settings.part_rows
        return [(first, min(first + size, self.pairs)) for first in range(0, self.pairs, size)]

    @property
    def workspace(self) -> Workspace:
        """The stage's workspace, where the tables are written."""
        return Workspace(self.root)

    @property
    def scratch(self) -> Workspace:
        """Where the results of finished steps are stored for the next ones."""
        return Workspace(self.workspace.scratch / f"align-{self.target}")

    @property
    def model(self) -> str:
        """The name of the trained model in the workspace."""
        return f"models/{self.target}"

    @property
    def merge_result_name(self) -> str:
        """The name of the merge result in the scratch folder."""
        return f"align-{self.target}.json"

    @property
    def merge_result_file(self) -> Path:
        """The file that is written last: when it exists, the language is finished."""
        return self.workspace.scratch / self.merge_result_name

    @property
    def finished(self) -> bool:
        """Whether the tables are complete."""
        merged = Workspace(self.workspace.scratch).has(self.merge_result_name)
        tables = all(self.workspace.has(f"{kind}/{self.target}.parquet") for kind in ("pairs", "rejected"))
        return merged and tables and not self.workspace.is_lost(self.model)

    def unfinished(self, phase: Phase) -> list[int]:
        """Return the numbers of the parts for which a phase is not done; [0] for a phase of one step."""
        if phase == "train":
            return [] if self.workspace.has(self.model) else [0]
        if phase == "merge":
            return [0]
        done = self._is_tokenized if phase == "tokenize" else self._is_aligned
        return [part for part in range(len(self.parts)) if not done(part)]

    def _is_tokenized(self, part: int) -> bool:
        return self.scratch.has(self.tokenized_name(part))

    def _is_aligned(self, part: int) -> bool:
        """Return whether a part is aligned, in all of its ranges."""
        if not self.scratch.has(self.ranges_name(part)):
            return False
        return all(self.scratch.has(self.aligned_name(part, rows)) for rows in self.read_ranges(part)[0])

    def tokenized_name(self, part: int) -> str:
        """Return the name in the scratch workspace of the folder of a tokenised part."""
        return f"tokenized/{part:06}"

    def words_file(self, part: int) -> Path:
        """Return the file with the pairs of a part that are to be aligned, with their words."""
        return self.scratch.path(f"{self.tokenized_name(part)}/{arrow_io.WORDS_FILE}")

    def aligned_name(self, part: int, rows: RowRange) -> str:
        """Return the name in the scratch workspace of the folder with the aligned rows of a range of a part."""
        return f"aligned/{part:06}/{rows[0]:06}-{rows[1]:06}"

    def ranges_name(self, part: int) -> str:
        """Return the name in the scratch workspace of the file that says how a part was aligned; written last."""
        return f"aligned/{part:06}/ranges.json"

    def read_ranges(self, part: int) -> tuple[list[RowRange], list[int]]:
        """Return the row ranges in which a part was aligned, and the rows that the aligner failed on."""
        content = json.loads(self.scratch.path(self.ranges_name(part)).read_text(encoding="utf-8"))
        return [(first, last) for first, last in content["ranges"]], content["failed"]

    def write_ranges(self, part: int, ranges: list[RowRange], failed: list[int]) -> None:
        """Commit a part: the row ranges in which it was aligned, and the rows that the aligner failed on."""
        with self.scratch.part(self.ranges_name(part)) as path:
            path.write_text(json.dumps({"ranges": ranges, "failed": failed}), encoding="utf-8")

    def reads(self, phase: Phase, part: int) -> list[Path]:
        """Return the files and folders that a step reads, those that earlier steps wrote included."""
        parts = range(len(self.parts))
        tokenized = [self.scratch.path(self.tokenized_name(number)) for number in parts]
        given = [path for path in (self.priors, self.encoder) if path]
        if phase == "tokenize":
            return list(self.files)
        if phase == "train":
            return [*tokenized, *given]
        if phase == "align":
            return [tokenized[part], self.workspace.path(self.model), *given]
        ranges = [self.scratch.path(self.ranges_name(number)) for number in parts]
        aligned = [self.scratch.path(self.aligned_name(number, rows)) for number in parts for rows in self.read_ranges(number)[0]]
        return [*tokenized, *ranges, *aligned]

    def part_rows(self, part: int) -> int:
        """Return the number of rows of a tokenised part that are to be aligned."""
        return arrow.row_count(self.words_file(part))

    @functools.cached_property
    def part_sizes(self) -> list[int]:
        """`part_rows` of each part, once all are tokenised."""
        file = self.scratch.path("sizes.json")
        if not self.scratch.has(file.name):  # cached on disk: otherwise each step would read the footers of all parts
            with self.scratch.part(file.name) as path:
                path.write_text(json.dumps([self.part_rows(part) for part in range(len(self.parts))]), encoding="utf-8")
        sizes: list[int] = json.loads(file.read_text(encoding="utf-8"))
        return sizes
