"""The steps of one language: collect statistics of a sample, fit them, filter the rows part by part, compare them, then write the tables.

Each step commits a file that the next ones read.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
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
from mlctl.cleaning.score_filter import ScoreFilter
from mlctl.cleaning.writer import TableWriters
from mlctl.config.scores import CorpusScore
from mlctl.core.files import discard
from mlctl.core.score_columns import ScoreArray, score_arrays
from mlctl.core.workspace import Workspace

#: sample: statistics of a slice of the sample; fit: those of the corpus, from all slices; filter: the rows of a part, one by one; compare:
#: rows across parts; write: the tables. Scores (`score_job`) are computed after `compare`, for the pairs that all rules keep.
Phase = Literal["sample", "fit", "filter", "compare", "write"]
PHASES: tuple[Phase, ...] = ("sample", "fit", "filter", "compare", "write")

_BATCH_ROWS = 4096
_RULES = pa.schema([pa.field("rule", pa.string(), nullable=False)])  # that drops a row, "": none; a row group a part


class KeptPairs(NamedTuple):
    """The pairs of a part that all rules keep: their row numbers (N,) and normalised texts."""

    rows: npt.NDArray[np.int64]
    sources: list[str]
    targets: list[str]


class LanguageJob(BaseModel):
    """The cleaning of one target language. Workers get it as JSON."""

    model_config = ConfigDict(frozen=True)

    phases: ClassVar[tuple[Phase, ...]] = PHASES
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
        return complete and not any(
            workspace.is_lost(f"{kind}/{self.target}.parquet") for kind in ("untranslated", "scores", "score_examples")
        )

    @property
    def scratch(self) -> Workspace:
        """Where the results of finished steps are stored for the next ones."""
        return Workspace(Workspace(self.root).scratch / f"clean-{self.target}")

    @property
    def statistics(self) -> Path:
        """The folder with the statistics of the corpus (CorpusStatistics)."""
        return self.scratch.path("statistics")

    @property
    def rules_file(self) -> Path:
        """The file with the rule that drops each row."""
        return self.scratch.path("rules.parquet")

    def unfinished(self, phase: Phase) -> list[int]:
        """Return the numbers of a phase's steps that are not done yet: of slices, of parts, or [0] for a phase of one step."""
        if phase == "filter":
            return [part for part in range(len(self.inputs.parts)) if not self.scratch.has(_part_name(part))]
        if phase == "write":
            return [] if self.finished else [0]
        if phase == "compare":
            return [] if self.scratch.has(self.rules_file.name) else [0]
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
        results = [self.part_file(part) for part in range(len(self.inputs.parts))]
        if phase == "compare":
            return [*self.inputs.files, *results]
        if phase == "write":
            return [*self.inputs.files, *results, self.rules_file, self.scratch.path("scores")]
        return [*self.inputs.files, *([self.statistics] if phase == "filter" else [])]

    def part_file(self, part: int) -> Path:
        """Return the file with the filter results of a part."""
        return self.scratch.path(_part_name(part))

    def part_rows(self, part: int) -> int:
        """Return the number of rows of a part."""
        first, last = self.inputs.parts[part]
        return last - first

    def rules(self, part: int) -> npt.NDArray[Any]:
        """Return the rule that drops each row of a part, of those that look at its text; "": none."""
        with pq.ParquetFile(self.rules_file) as file:
            return np.array(file.read_row_group(part)["rule"].to_pylist(), dtype=object)

    def kept_pairs(self, part: int) -> KeptPairs:
        """Return the pairs of a part that are scored: those that all rules keep."""
        first, last = self.inputs.parts[part]
        results = pq.read_table(self.part_file(part), columns=["paired", "source", "target"])
        kept = np.flatnonzero((self.rules(part) == "") & np.asarray(results["paired"]))
        rows, changed = self.inputs.read(first, last).take(kept), results.take(kept)
        texts = (pc.coalesce(changed[side], rows[side]).to_pylist() for side in ("source", "target"))
        return KeptPairs(kept + first, *texts)

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

    def compare(self) -> None:
        """Apply the filters that compare rows of all parts, and write the rule that drops each row."""
        files = [self.part_file(part) for part in range(len(self.inputs.parts))]
        corpus_filter = CorpusFilter(self.settings, self.inputs, files, self.scratch.path("compared"))
        with self.scratch.part(self.rules_file.name) as path, pq.ParquetWriter(path, _RULES, compression="zstd") as writer:
            for (first, last), file in zip(self.inputs.parts, files, strict=True):
                rules = np.array(pq.read_table(file, columns=["rule"])["rule"].to_pylist(), dtype=object)
                for rule, dropped in corpus_filter.rules(first, last).items():
                    rules[dropped] = rule
                writer.write_table(pa.table([pa.array(rules, pa.string())], schema=_RULES))

    def write(self) -> None:
        """Apply the limits of the scores, write the tables, and remove the scratch files."""
        parts = range(len(self.inputs.parts))
        score_filter = ScoreFilter(self.settings, self.target, lambda: map(self.scores, parts))
        with TableWriters(Workspace(self.root), self.target) as writers:
            for part in parts:
                rows, results = self.inputs.read(*self.inputs.parts[part]), pq.read_table(self.part_file(part))
                writers.write(rows, results, self.rules(part), self.scores(part), score_filter)
            if self.settings.scores:
                writers.write_statistics(score_filter)
        discard(self.scratch.root)

    def scores(self, part: int) -> dict[str, ScoreArray]:
        """Return the scores of `clean.scores` by name, for each row of a part; NaN: it is dropped, or has no such score."""
        if not self.settings.scores:
            return {}
        first, last = self.inputs.parts[part]
        paired = np.asarray(pq.read_table(self.part_file(part), columns=["paired"])["paired"])
        kept = (self.rules(part) == "") & paired
        from_corpus = score_arrays(self.inputs.read(first, last)["scores"])
        missing = np.full(last - first, np.nan, np.float32)
        scores = {}
        for name, score in self.settings.scores.items():
            values = from_corpus.get(name, missing) if isinstance(score, CorpusScore) else self._computed(name, part)
            scores[name] = np.where(kept, values, np.float32(np.nan))
        return scores

    def _computed(self, name: str, part: int) -> ScoreArray:
        column = pq.read_table(self.scratch.path(score_part(name, part)))["score"]
        return np.asarray(column.fill_null(np.nan), np.float32)


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
        elif self.phase == "compare":
            self.job.compare()
        else:
            self.job.write()


def score_part(name: str, part: int) -> str:
    """Return the name of the file, in the scratch folder, with the scores of a part."""
    return f"scores/{name}/{part:06}.parquet"


def _slice_name(number: int) -> str:
    return f"slices/{number}.json"


def _part_name(part: int) -> str:
    return f"filtered/{part:06}.parquet"
