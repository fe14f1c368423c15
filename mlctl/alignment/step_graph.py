"""Scheduling of the stage: runs the steps of all languages on workers, and reports their progress."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from mlctl.alignment.fault_isolation import ResilientWorker
from mlctl.alignment.language_job import PHASES_OF_PARTS, LanguageJob
from mlctl.alignment.steps import AlignStep
from mlctl.core.workspace import Progress
from mlctl.execution.backend import Worker
from mlctl.execution.scheduler import ProgressCounter, run_on_workers
from mlctl.execution.step_graph import PhasedGraph

log = logging.getLogger(__name__)


def run_steps(jobs: Sequence[LanguageJob], workers: int, start_worker: Callable[[str], Worker], progress: Progress) -> None:
    """Run all unfinished steps, on up to `workers` workers; `start_worker` starts one that runs a module.

    Progress is reported in parts: each counts twice, when it is tokenised and when it is aligned.

    Raises:
        InputError: a step failed for a reason that its message names, or its process ended again and again; the other workers
            are stopped.
    """
    jobs = sorted(jobs, key=lambda job: -job.pairs)  # the largest first: what it ends with is one step
    total = sum(len(PHASES_OF_PARTS) * len(job.parts) for job in jobs)
    missing = sum(len(job.unfinished(phase)) for job in jobs if not job.finished for phase in PHASES_OF_PARTS)
    counter = ProgressCounter(progress, total - missing, total, "parts")

    def report(step: AlignStep) -> None:
        if step.phase == "train":
            log.info("%s: the alignment model is trained", step.job.target)
        counter.add(step.phase in PHASES_OF_PARTS, language=step.job.target, step=step.phase)

    graph = PhasedGraph(jobs, lambda job, phase, number: AlignStep(job=job, phase=phase, part=number))
    resilient_workers = [ResilientWorker(start_worker) for _ in range(max(1, min(workers, missing)))]
    run_on_workers(graph, resilient_workers, report)
