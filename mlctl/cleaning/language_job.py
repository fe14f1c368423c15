"""One language's work in steps that leave files behind: learn from slices of a sample, judge part by part, compare, write the tables."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from mlctl import config
from mlctl.cleaning.corpus_filters import CorpusFilter
from mlctl.cleaning.corpus_statistics import CorpusStatistics, SampleStatistics, collect_statistics, fit_statistics
from mlctl.cleaning.filter_results import FILTER_RESULT
from mlctl.cleaning.likelihood import SAMPLE
from mlctl.cleaning.reader import Downloaded
from mlctl.cleaning.row_filters import RowFilter, filter_batch
from mlctl.cleaning.writer import Outputs
from mlctl.core.files import discard
from mlctl.core.workspace import Workspace

StepName = Literal["look", "learn", "judge", "finish"]

_BATCH_ROWS = 4096


class Language(BaseModel):
    """One target language, as it is told to a process."""

    model_config = ConfigDict(frozen=True)

    settings: config.Clean
    source: str
    target: str
    downloaded: Path
    root: Path
    lexicon: Path | None = None

    @functools.cached_property
    def inputs(self) -> Downloaded:
        """The rows that come in."""
        return Downloaded(self.downloaded, self.target)

    @property
    def finished(self) -> bool:
        """Tell whether the tables are whole."""
        return Workspace(self.root).has(f"pairs/{self.target}.parquet")

    @property
    def scratch(self) -> Workspace:
        """Where finished steps leave what the next ones need."""
        return Workspace(Workspace(self.root).scratch / f"clean-{self.target}")

    @property
    def learned(self) -> Path:
        """The folder of what was learned."""
        return self.scratch.path("learned")

    @property
    def unseen(self) -> list[int]:
        """The numbers of the slices of the sample that nobody has looked at yet."""
        return [number for number in range(len(self.inputs.slices)) if not self.scratch.has(_slice(number))]

    @property
    def missing(self) -> list[int]:
        """The numbers of the parts that are not judged yet."""
        return [number for number in range(len(self.inputs.parts)) if not self.part(number).exists()]

    def part(self, number: int) -> Path:
        """Return the file of a judged part."""
        return self.scratch.path(_part(number))

    def look(self, number: int) -> None:
        """Look at a slice of the sample of pairs."""
        pairs = self.inputs.sample(SAMPLE, *self.inputs.slices[number])
        with self.scratch.part(_slice(number)) as path:
            collect_statistics(self.settings, self.source, self.target, pairs).save(path)

    def learn(self) -> None:
        """Learn from the slices of the sample, and from the lexicon."""
        slices = [SampleStatistics.load(self.scratch.path(_slice(number))) for number in range(len(self.inputs.slices))]
        with self.scratch.part("learned") as path:
            fit_statistics(self.settings, slices, self.lexicon).save(path)

    def judge(self, number: int) -> None:
        """Judge the rows of a part one by one."""
        statistics = CorpusStatistics.load(self.learned)
        forward = RowFilter(self.settings, self.source, self.target, statistics.lengths, statistics.likelihood)
        reverse = RowFilter(self.settings, self.target, self.source)
        table = self.inputs.read(*self.inputs.parts[number])
        with self.scratch.part(_part(number)) as path, pq.ParquetWriter(path, FILTER_RESULT, compression="zstd") as writer:
            for batch in table.to_batches(_BATCH_ROWS):
                writer.write_batch(filter_batch(forward, reverse, batch).to_batch(self.settings, batch))

    def finish(self) -> None:
        """Compare the rows of all parts, write the tables and drop what the steps left."""
        files = [self.part(number) for number in range(len(self.inputs.parts))]
        corpus_filter = CorpusFilter(self.settings, self.inputs, files, self.scratch.path("compared"))
        with Outputs(Workspace(self.root), self.target) as outputs:
            for (first, last), file in zip(self.inputs.parts, files, strict=True):
                outputs.write(self.inputs.read(first, last), pq.read_table(file), corpus_filter.rules(first, last))
        discard(self.scratch.root)


class Step(BaseModel):
    """One thing to do for a language; `look` has the number of a slice, `judge` that of a part."""

    model_config = ConfigDict(frozen=True)

    language: Language
    name: StepName
    part: int = 0

    def do(self) -> None:
        """Do it."""
        if self.name == "judge":
            self.language.judge(self.part)
        elif self.name == "look":
            self.language.look(self.part)
        elif self.name == "learn":
            self.language.learn()
        else:
            self.language.finish()


def _slice(number: int) -> str:
    return f"slices/{number}.json"


def _part(number: int) -> str:
    return f"judged/{number:06}.parquet"
