"""The steps of one language: collect statistics of a sample, fit them, filter the rows part by part, then write the tables.

Each step commits a file that the next ones read.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from mlctl import config
from mlctl.cleaning.corpus_filters import CorpusFilter
from mlctl.cleaning.corpus_statistics import (
    UNTRANSLATED_SAMPLE,
    CorpusStatistics,
    SampleStatistics,
    collect_statistics,
    fit_statistics,
)
from mlctl.cleaning.filter_results import FILTER_RESULT
from mlctl.cleaning.likelihood import SAMPLE
from mlctl.cleaning.reader import DownloadedRows
from mlctl.cleaning.row_filters import RowFilter, filter_batch
from mlctl.cleaning.writer import TableWriters
from mlctl.core.files import discard
from mlctl.core.workspace import Workspace

#: sample: statistics of a slice of the sample; fit: those of the corpus, from all slices; filter: the rows of a part, one by one; write: compare
#: rows across parts and write the tables.
Phase = Literal["sample", "fit", "filter", "write"]

_BATCH_ROWS = 4096


class LanguageJob(BaseModel):
    """The cleaning of one target language. Workers get it as JSON."""

    model_config = ConfigDict(frozen=True)

    phases: ClassVar[tuple[Phase, ...]] = ("sample", "fit", "filter", "write")
    preparation: ClassVar[tuple[Phase, ...]] = ("sample", "fit")

    settings: config.Clean
    source: str
    target: str
    downloaded: Path
    root: Path
    lexicon: Path | None = None

    @functools.cached_property
    def inputs(self) -> DownloadedRows:
        """The downloaded rows."""
        return DownloadedRows(self.downloaded, self.target)

    @property
    def finished(self) -> bool:
        """Whether the tables are complete."""
        workspace = Workspace(self.root)
        complete = all(workspace.has(f"{kind}/{self.target}.parquet") for kind in ("pairs", "rejected"))
        return complete and not workspace.is_lost(f"untranslated/{self.target}.parquet")

    @property
    def scratch(self) -> Workspace:
        """Where the results of finished steps are stored for the next ones."""
        return Workspace(Workspace(self.root).scratch / f"clean-{self.target}")

    @property
    def statistics(self) -> Path:
        """The folder with the statistics of the corpus (CorpusStatistics)."""
        return self.scratch.path("statistics")

    def unfinished(self, phase: Phase) -> list[int]:
        """Return the numbers of a phase's steps that are not done yet: of slices, of parts, or [0] for a phase of one step."""
        if phase == "filter":
            return [part for part in range(len(self.inputs.parts)) if not self.scratch.has(_part_name(part))]
        if phase == "write":
            return [] if self.finished else [0]
        if self.scratch.has(self.statistics.name):
            return []
        if phase == "fit":
            return [0]
        return [number for number in range(len(self.inputs.slices)) if not self.scratch.has(_slice_name(number))]

    def reads(self, phase: Phase) -> list[Path]:
        """Return the files that a phase's steps read, those that earlier steps wrote included."""
        if phase == "fit":
            slices = [self.scratch.path(_slice_name(number)) for number in range(len(self.inputs.slices))]
            return [*slices, *([self.lexicon] if self.lexicon else [])]
        if phase == "write":
            return [*self.inputs.files, *(self.part_file(part) for part in range(len(self.inputs.parts)))]
        return [*self.inputs.files, *([self.statistics] if phase == "filter" else [])]

    def part_file(self, part: int) -> Path:
        """Return the file with the filter results of a part."""
        return self.scratch.path(_part_name(part))

    def part_rows(self, part: int) -> int:
        """Return the number of rows of a part."""
        first, last = self.inputs.parts[part]
        return last - first

    def sample(self, number: int) -> None:
        """Collect the statistics of a slice of the sample."""
        pairs = self.inputs.sample(SAMPLE, *self.inputs.slices[number])
        untranslated = self.inputs.sample_untranslated(UNTRANSLATED_SAMPLE, *self.inputs.slices[number])
        with self.scratch.part(_slice_name(number)) as path:
            collect_statistics(self.settings, self.source, self.target, pairs, untranslated).save(path)

    def fit(self) -> None:
        """Fit the statistics of the corpus to those of all slices and to the lexicon of earlier runs."""
        slices = [SampleStatistics.load(self.scratch.path(_slice_name(number))) for number in range(len(self.inputs.slices))]
        with self.scratch.part(self.statistics.name) as path:
            fit_statistics(self.settings, self.source, self.target, slices, self.lexicon).save(path)

    def filter(self, part: int) -> None:
        """Apply the row filters to a part."""
        statistics = CorpusStatistics.load(self.statistics)
        forward = RowFilter(
            self.settings, self.source, self.target, statistics.lengths, statistics.likelihood, statistics.repairs
        )
        source, target = statistics.repairs or (None, None)
        reverse = RowFilter(self.settings, self.target, self.source, repairs=(target, source) if source and target else None)
        table = self.inputs.read(*self.inputs.parts[part])
        with self.scratch.part(_part_name(part)) as path, pq.ParquetWriter(path, FILTER_RESULT, compression="zstd") as writer:
            for batch in table.to_batches(_BATCH_ROWS):
                writer.write_batch(filter_batch(forward, reverse, batch).to_batch(self.settings, batch))

    def write(self) -> None:
        """Apply the filters that compare rows of all parts, write the tables, and remove the scratch files."""
        files = [self.part_file(part) for part in range(len(self.inputs.parts))]
        corpus_filter = CorpusFilter(self.settings, self.inputs, files, self.scratch.path("compared"))
        with TableWriters(Workspace(self.root), self.target) as writers:
            for (first, last), file in zip(self.inputs.parts, files, strict=True):
                writers.write(self.inputs.read(first, last), pq.read_table(file), corpus_filter.rules(first, last))
        discard(self.scratch.root)


class CleanStep(BaseModel):
    """A step of a language's job. `part` is the number of a slice in the phase `sample`, of a part in the phase `filter`, else 0."""

    model_config = ConfigDict(frozen=True)

    remedy: ClassVar[str] = "if memory ran out, lower clean.workers; a second run resumes after the finished steps"
    timeout: ClassVar[None] = None

    job: LanguageJob
    phase: Phase
    part: int = 0

    @property
    def description(self) -> str:
        """What the step does; error messages begin with it."""
        return f"clean of {self.job.target} ({self.phase})"

    @property
    def reads(self) -> list[Path]:
        """The files that the step reads."""
        return self.job.reads(self.phase)

    def run(self) -> None:
        """Do the work in this process."""
        if self.phase == "filter":
            self.job.filter(self.part)
        elif self.phase == "sample":
            self.job.sample(self.part)
        elif self.phase == "fit":
            self.job.fit()
        else:
            self.job.write()


def _slice_name(number: int) -> str:
    return f"slices/{number}.json"


def _part_name(part: int) -> str:
    return f"filtered/{part:06}.parquet"
