"""Scheduling of the stage: runs the steps of all languages, on workers if that is faster, and reports their progress."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mlctl.cleaning.corpus_statistics import CorpusStatistics
from mlctl.cleaning.language_job import CleanStep, LanguageJob
from mlctl.core.workspace import Progress
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.scheduler import BackendWorker, ProgressCounter, run_in_process, run_on_workers
from mlctl.execution.step_graph import PhasedGraph

log = logging.getLogger(__name__)

# Workers take a second or two to start: up to so many rows are filtered faster in this process.
_MAX_ROWS_IN_PROCESS = 10_000
#: The module that a worker runs.
WORKER = "mlctl.cleaning.worker"


def run_steps(jobs: Sequence[LanguageJob], workers: int, backend: ExecutionBackend, progress: Progress) -> None:
    """Run all unfinished steps, on up to `workers` workers of a backend.

    Raises:
        InputError: a signal ended a worker's process; the other workers are stopped.
    """
    jobs = sorted(jobs, key=lambda job: -job.inputs.rows)  # the largest first: what it ends with is one step
    graph = PhasedGraph(jobs, lambda job, phase, number: CleanStep(job=job, phase=phase, part=number))
    rows = sum(job.inputs.rows for job in jobs)
    missing = sum(job.part_rows(part) for job in jobs if not job.finished for part in job.unfinished("filter"))
    counter = ProgressCounter(progress, rows - missing, rows, "rows")

    def report(step: CleanStep) -> None:
        if step.phase == "fit":
            ratio = CorpusStatistics.load(step.job.statistics).lengths.ratio
            log.info("%s: a translation has %.2f characters per source character", step.job.target, ratio)
        elif step.phase == "filter":
            counter.add(step.job.part_rows(step.part), language=step.job.target)

    workers = min(workers, _max_parallel_steps(jobs))
    if workers < 2 or missing <= _MAX_ROWS_IN_PROCESS:
        run_in_process(graph, report)
    else:
        run_on_workers(graph, [BackendWorker(backend.start_worker(WORKER)) for _ in range(workers)], report)
    counter.complete()


def _max_parallel_steps(jobs: Sequence[LanguageJob]) -> int:
    """Return how many steps can run at a time at most."""
    unfinished = [job for job in jobs if not job.finished]
    return max(sum(len(job.unfinished(phase)) for job in unfinished) for phase in ("sample", "filter"))
