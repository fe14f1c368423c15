"""The step `merge`: writes the tables of a language from all its parts, unless too few of its words are linked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from mlctl import schema
from mlctl.alignment import arrow_io
from mlctl.alignment.language_job import LanguageJob
from mlctl.alignment.link_statistics import LinkStatistics
from mlctl.alignment.tokenize_step import NO_WORDS, TOO_MANY_WORDS
from mlctl.core import arrow
from mlctl.core.workspace import Workspace

ALIGNER_FAILED, TOO_FEW_LINKS = "aligner failed", "too few links"

#: All rules that reject pairs, in the order in which they are applied.
RULES = (NO_WORDS, TOO_MANY_WORDS, ALIGNER_FAILED, TOO_FEW_LINKS)


class MergeResult(BaseModel):
    """The statistics of a language's links, and the number of pairs that each rule rejected."""

    statistics: LinkStatistics
    rejected: dict[str, int]

    @property
    def too_few_links(self) -> bool:
        """Whether all pairs of the language were rejected because too few of its words are linked."""
        return bool(self.rejected[TOO_FEW_LINKS])

    @property
    def pairs(self) -> int:
        """The number of pairs in the result."""
        return self.statistics.pairs - self.rejected[TOO_FEW_LINKS]


def read_merge_result(job: LanguageJob) -> MergeResult:
    """Return the merge result of a finished language."""
    return MergeResult.model_validate_json(job.merge_result_file.read_text(encoding="utf-8"))


def merge_parts(job: LanguageJob) -> None:
    """Write `rejected/<t>.parquet`, `pairs/<t>.parquet` and, last, the merge result."""
    statistics = LinkStatistics.total(map(_read_statistics, _aligned_folders(job)))
    too_few_links = bool(statistics.pairs) and statistics.coverage < job.settings.min_link_coverage
    counts = dict.fromkeys(RULES, 0)
    with job.workspace.part(f"rejected/{job.target}.parquet") as file:
        _write_table(file, schema.REJECTED, _rejected(job, too_few_links, counts))
    with job.workspace.part(f"pairs/{job.target}.parquet") as file:
        _write_table(file, schema.ALIGNED, iter(()) if too_few_links else _aligned(job))
    with Workspace(job.workspace.scratch).part(job.merge_result_name) as file:
        file.write_text(MergeResult(statistics=statistics, rejected=counts).model_dump_json(), encoding="utf-8")


def _aligned_folders(job: LanguageJob) -> Iterator[Path]:
    for part in range(len(job.parts)):
        for rows in job.read_ranges(part)[0]:
            yield job.scratch.path(job.aligned_name(part, rows))


def _read_statistics(folder: Path) -> LinkStatistics:
    pairs, links, confidence, source, target = json.loads((folder / arrow_io.STATISTICS_FILE).read_text(encoding="utf-8"))
    return LinkStatistics(pairs, links, confidence, tuple(source), tuple(target))


def _write_table(file: Path, fields: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with pq.ParquetWriter(file, fields, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


def _aligned(job: LanguageJob) -> Iterator[pa.RecordBatch]:
    for folder in _aligned_folders(job):
        yield from arrow.batches(folder / arrow_io.ALIGNED_FILE)


def _rejected(job: LanguageJob, too_few_links: bool, counts: dict[str, int]) -> Iterator[pa.RecordBatch]:
    """Yield all rejected pairs, part by part, and add their number to `counts` by rule."""
    for part in range(len(job.parts)):
        for batch in _rejected_of_part(job, part, too_few_links):
            for entry in batch["rule"].value_counts().to_pylist():
                counts[entry["values"]] += entry["counts"]
            yield batch


def _rejected_of_part(job: LanguageJob, part: int, too_few_links: bool) -> Iterator[pa.RecordBatch]:
    yield from arrow.batches(job.scratch.path(job.tokenized_name(part)) / arrow_io.REJECTED_FILE)
    ranges, failed = job.read_ranges(part)
    if failed:
        rows = pq.read_table(job.words_file(part), columns=schema.PAIR.names).take(failed)
        yield arrow_io.to_rejected(arrow_io.to_batch(rows), ALIGNER_FAILED)
    for row_range in ranges if too_few_links else ():
        folder = job.scratch.path(job.aligned_name(part, row_range))
        for batch in arrow.batches(folder / arrow_io.ALIGNED_FILE, schema.PAIR.names):
            yield arrow_io.to_rejected(batch, TOO_FEW_LINKS)
