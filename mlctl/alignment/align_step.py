"""The step `align`: links the words of a range of rows with the trained aligner."""

from __future__ import annotations

import functools
import json

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.alignment import arrow_io, registry
from mlctl.alignment.aligner import Aligner
from mlctl.alignment.language_job import LanguageJob, RowRange
from mlctl.alignment.link_statistics import count_links
from mlctl.core import arrow


def align_rows(job: LanguageJob, part: int, rows: RowRange) -> None:
    """Align a range of rows of a part, in one call of the aligner."""
    first, last = rows
    words = arrow_io.to_batch(pq.read_table(job.words_file(part))).slice(first, last - first)
    pairs = arrow_io.PairRows(words)
    aligned = arrow_io.with_links(words, _load_aligner(job.model_dump_json()).align(pairs) if pairs else [])
    with job.scratch.part(job.aligned_name(part, rows)) as folder:
        folder.mkdir()
        table = pa.Table.from_batches([aligned])
        pq.write_table(table, folder / arrow_io.ALIGNED_FILE, compression="zstd", row_group_size=arrow.BATCH_ROWS)
        (folder / arrow_io.STATISTICS_FILE).write_text(json.dumps(count_links(aligned)), encoding="utf-8")


@functools.lru_cache(1)
def _load_aligner(job_json: str) -> Aligner:
    """Return the trained aligner of a job; a process caches the last one."""
    job = LanguageJob.model_validate_json(job_json)
    folder = job.workspace.path(job.model)
    return registry.load_aligner(job.settings, job.source, job.target, job.seed, folder, job.encoder)
