"""The steps of sharding: statistics of each part, candidates of each language, training rows of each part, and each shard.

Each step commits a file that the next ones read; what lies between the kinds of steps is in `stage`.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from mlctl import config, schema
from mlctl.core.arrow import row_range
from mlctl.core.workspace import Workspace
from mlctl.sharding import tokenizer
from mlctl.sharding.caps import load_caps
from mlctl.sharding.content_words import BATCH_ROWS, ContentWords
from mlctl.sharding.excluded_text import ExcludedText
from mlctl.sharding.external_sort import RUN_PAIRS, SortedRun, number_of_shards, write_run, write_shard
from mlctl.sharding.funnel import NO_WORD_PAIR, TOO_LONG
from mlctl.sharding.heldout import write_candidates
from mlctl.sharding.part_statistics import COLUMNS, read_identities, write_statistics
from mlctl.sharding.rows import make_rows
from mlctl.sharding.stop_words import StopWords, lexicon_file
from mlctl.sharding.subword_spans import SpanTokenizer

Integers = npt.NDArray[np.int64]

#: Kinds of steps, in order: statistics of a part, candidates of a language, rows of a part, one shard.
Phase = Literal["statistics", "candidates", "rows", "shard"]

_TOKENIZER_PAIRS = 1_000_000  # enough for its vocabulary; ten million would take half an hour
STOP_WORDS, EXCLUDED_TEXT, CAPS = "stop-words.json", "excluded-text", "caps.json"  # parts of the scratch folder


class Part(NamedTuple):
    """Aligned pairs [first, last) of a language; `name` is the part's in the scratch folder."""

    language: str
    first: int
    last: int
    name: str


class ShardJob(BaseModel):
    """The sharding of a corpus. Workers get it as JSON."""

    model_config = ConfigDict(frozen=True)

    settings: config.Shard
    targets: tuple[str, ...]
    pairs: tuple[int, ...]  # of each target
    seed: int
    aligned: Path
    root: Path
    part_pairs: int = RUN_PAIRS

    @property
    def workspace(self) -> Workspace:
        """Where the result is written."""
        return Workspace(self.root)

    @property
    def scratch(self) -> Workspace:
        """Where the results of finished steps are stored for the next ones."""
        return Workspace(self.workspace.scratch)

    def file(self, language: str) -> Path:
        """Return the file of a language's aligned pairs."""
        return self.aligned / "pairs" / f"{language}.parquet"

    @functools.cached_property
    def parts(self) -> list[Part]:
        """The parts of all languages, in order."""
        return [
            Part(language, first, min(first + self.part_pairs, pairs), f"{language}-{number:05d}")
            for language, pairs in zip(self.targets, self.pairs, strict=True)
            for number, first in enumerate(range(0, pairs, self.part_pairs))
        ]

    def statistics_folders(self, language: str) -> list[Path]:
        """Return the folders with the statistics of a language's parts, in order."""
        return [self.scratch.path(_statistics_name(part)) for part in self.parts if part.language == language]

    def runs(self) -> list[SortedRun]:
        """Return the sorted runs of all parts, without caps."""
        return [SortedRun.open(self.scratch.path(_run_name(part)), part.language) for part in self.parts]

    def unfinished(self, phase: Phase) -> list[int]:
        """Return the numbers of a kind's steps that are not done yet."""
        if phase == "shard":
            shards = number_of_shards(self.capped_runs, self.settings.rows_per_shard)
            return [number for number in range(shards) if not self.workspace.has(_shard_name(number))]
        names = {
            "statistics": [_statistics_name(part) for part in self.parts],
            "candidates": [candidates_name(language) for language in self.targets],
            "rows": [_run_name(part) for part in self.parts],
        }[phase]
        unfinished = [number for number, name in enumerate(names) if not self.scratch.has(name)]
        if phase == "candidates":  # the largest language first, so that none waits for it in the end
            unfinished.sort(key=lambda number: -self.pairs[number])
        return unfinished

    def reads(self, phase: Phase, number: int) -> list[Path]:
        """Return the files and folders that a step reads, those that earlier steps wrote included."""
        path = self.scratch.path
        if phase == "shard":
            return [path(CAPS), *(path(_run_name(part)) for part in self.parts)]
        if phase == "candidates":
            language = self.targets[number]
            return [self.file(language), path(STOP_WORDS), *self.statistics_folders(language)]
        part = self.parts[number]
        if phase == "statistics":
            return [self.file(part.language)]
        plan = [path(STOP_WORDS), path(EXCLUDED_TEXT), self.workspace.path("tokenizer"), lexicon_file(self.file(part.language))]
        return [self.file(part.language), *plan, path(_statistics_name(part))]

    def texts(self) -> Iterator[list[str]]:
        """Yield the texts of both sides of pairs that may be trained on, in batches: of all, or of a million evenly spaced ones."""
        excluded, stride = self._excluded_text, max(1, sum(part.last - part.first for part in self.parts) // _TOKENIZER_PAIRS)
        for part in self.parts:
            first = part.first
            for batch, identities in self._batches(part, ("source", "target")):
                chosen = np.arange(-first % stride, batch.num_rows, stride)
                first += batch.num_rows
                pairs = batch.take(pa.array(chosen))
                trainable = pairs.filter(pa.array(excluded.trainable(pairs, identities[chosen], Counter())))
                yield from (trainable["source"].to_pylist(), trainable["target"].to_pylist())

    def write_statistics(self, number: int) -> None:
        """Write the statistics of a part."""
        part = self.parts[number]
        batches = row_range([self.file(part.language)], part.first, part.last, COLUMNS, BATCH_ROWS)
        with self.scratch.part(_statistics_name(part)) as folder:
            write_statistics(folder, batches, self.settings.heldout_min_words, self.seed)

    def write_candidates(self, number: int) -> None:
        """Write the pairs of a language that may be held out."""
        language = self.targets[number]
        content = self.stop_words.content_words(self.settings, language)
        with self.scratch.part(candidates_name(language)) as path:
            write_candidates(path, self.settings, self.file(language), self.statistics_folders(language), content)

    def write_rows(self, number: int) -> None:
        """Write the training rows of a part as a sorted run."""
        part = self.parts[number]
        counts = Counter({"pairs": part.last - part.first})
        with self.scratch.part(_run_name(part)) as path:
            write_run(path, self._training_rows(part, counts), counts)

    def write_shard(self, number: int) -> None:
        """Write a shard: its rows of all runs."""
        runs = self.capped_runs
        with self.workspace.part(_shard_name(number)) as path:
            write_shard(path, runs, number, number_of_shards(runs, self.settings.rows_per_shard))

    def _training_rows(self, part: Part, counts: Counter[str]) -> Iterator[pa.RecordBatch]:
        """Yield the training rows of a part and count the pairs that each rule drops."""
        excluded, settings, words = self._excluded_text, self.settings, self._trained_words
        if part.language not in words:
            words[part.language] = self.stop_words.trained_words(settings, part.language, self.file(part.language))
        for batch, identities in self._batches(part, schema.ALIGNED.names):
            trainable = excluded.trainable(batch, identities, counts)
            made = make_rows(
                batch.filter(pa.array(trainable)),
                identities[trainable],
                words[part.language],
                self.span_tokenizer,
                self.seed,
                settings.too_long == "drop",
                settings.spaced_words,
            )
            counts.update({TOO_LONG: made.too_long, NO_WORD_PAIR: made.without_word_pair})
            yield made.rows

    def _batches(self, part: Part, columns: tuple[str, ...] | list[str]) -> Iterator[tuple[pa.RecordBatch, Integers]]:
        """Yield the pairs of a part with their identities (pairs, 2), in batches."""
        identities, first = read_identities(self.scratch.path(_statistics_name(part))), 0
        for batch in row_range([self.file(part.language)], part.first, part.last, columns, BATCH_ROWS):
            yield batch, identities[first : first + batch.num_rows]
            first += batch.num_rows

    @functools.cached_property
    def span_tokenizer(self) -> SpanTokenizer:
        """The tokenizer of the shards."""
        return SpanTokenizer(tokenizer.tokenizer_json(self.workspace.path("tokenizer")), self.settings.max_length)

    @functools.cached_property
    def stop_words(self) -> StopWords:
        """The stop words of all languages."""
        return StopWords.load(self.scratch.path(STOP_WORDS))

    @functools.cached_property
    def _excluded_text(self) -> ExcludedText:
        return ExcludedText.load(self.scratch.path(EXCLUDED_TEXT))

    @functools.cached_property
    def capped_runs(self) -> list[SortedRun]:
        """The runs of all parts, with their caps."""
        caps = load_caps(self.scratch.path(CAPS))
        return [replace(run, filters=caps[run.language]) for run in self.runs()]

    @functools.cached_property
    def _trained_words(self) -> dict[str, ContentWords]:
        """The rules for word pairs of the languages that this process has met."""
        return {}


class ShardStep(BaseModel):
    """A step: the number of a part, a language or a shard."""

    model_config = ConfigDict(frozen=True)

    job: ShardJob
    phase: Phase
    number: int

    remedy: str = "free some memory or set shard.workers to a smaller number, then run again"
    timeout: float | None = None

    @property
    def description(self) -> str:
        """What the step does; error messages begin with it."""
        if self.phase == "shard":
            return f"shard: writing {_shard_name(self.number)}"
        what = self.job.targets[self.number] if self.phase == "candidates" else self.job.parts[self.number].name
        return f"shard: {self.phase} of {what}"

    @property
    def reads(self) -> list[Path]:
        """The files and folders that the step reads."""
        return self.job.reads(self.phase, self.number)

    def run(self) -> None:
        """Do the step in this process."""
        work = {
            "statistics": self.job.write_statistics,
            "candidates": self.job.write_candidates,
            "rows": self.job.write_rows,
            "shard": self.job.write_shard,
        }
        work[self.phase](self.number)


def candidates_name(language: str) -> str:
    """Return the name of the file, in the scratch folder, of the pairs of a language that may be held out."""
    return f"candidates-{language}.arrow"


def _statistics_name(part: Part) -> str:
    return f"statistics/{part.name}"


def _run_name(part: Part) -> str:
    return f"{part.name}.arrow"


def _shard_name(number: int) -> str:
    return f"train/{number:05d}.parquet"
