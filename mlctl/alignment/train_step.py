"""The step `train`: trains a language's aligner on a sample of its pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl.alignment import arrow_io, registry
from mlctl.alignment.language_job import LanguageJob
from mlctl.core import arrow


def train(job: LanguageJob) -> None:
    """Train a model on a sample of all parts, and save it; the folder of a language without pairs is empty."""
    with job.workspace.part(job.model) as folder:
        folder.mkdir()
        if sum(job.part_sizes):
            aligner = registry.create_aligner(
                job.settings, job.source, job.target, job.seed, job.priors, job.encoder, job.threads
            )
            aligner.train(arrow_io.PairBatches(training_batches(job)))
            aligner.save(folder)


def training_batches(job: LanguageJob) -> Iterator[pa.RecordBatch]:
    """Yield the pairs that the model is trained on, in order, as batches of `arrow_io.WORDS`."""
    for part in range(len(job.parts)):
        rows, start = training_rows(job, part), 0
        for batch in arrow.batches(job.words_file(part)):
            in_batch = rows[(rows >= start) & (rows < start + batch.num_rows)] - start
            yield batch.take(pa.array(in_batch))
            start += batch.num_rows


def training_rows(job: LanguageJob, part: int) -> npt.NDArray[np.int64]:
    """Return the rows of a part that the model is trained on (N,): at most `align.train_pairs` of all parts, spread evenly."""
    total, first = sum(job.part_sizes), sum(job.part_sizes[:part])
    sample = min(job.settings.train_pairs, total)
    rows = np.arange(first, first + job.part_sizes[part], dtype=np.int64)
    return np.flatnonzero((rows + 1) * sample // max(total, 1) > rows * sample // max(total, 1))
