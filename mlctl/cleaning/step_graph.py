"""Scheduling of the stage: runs the steps of all languages, on workers if that is faster, and reports their progress."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlctl.cleaning.corpus_statistics import CorpusStatistics
from mlctl.cleaning.language_job import PHASES, CleanStep, LanguageJob, Phase
from mlctl.cleaning.score_job import ScoreJob, ScoreStep, close_encoders
from mlctl.config.scores import CorpusScore, EncoderScore, ProgramScore
from mlctl.core.files import discard
from mlctl.core.workspace import Progress, silent
from mlctl.execution.backend import ExecutionBackend, Worker
from mlctl.execution.scheduler import BackendWorker, ProgressCounter, StepWorker, run_in_process, run_on_workers
from mlctl.execution.step_graph import PhasedGraph
from mlctl.scoring.placement import encoder_devices

_CPU = "cpu"

log = logging.getLogger(__name__)

# Workers take a second or two to start: up to so many rows are filtered faster in this process; and so many pairs scored, which takes longer.
_MAX_ROWS_IN_PROCESS, _MAX_PAIRS_IN_PROCESS = 10_000, 2_000
#: The modules that workers run.
WORKER, SCORE_WORKER = "mlctl.cleaning.worker", "mlctl.cleaning.score_worker"


def run_steps(
    jobs: Sequence[LanguageJob], workers: int, backend: ExecutionBackend, progress: Progress, encoders: Mapping[str, Path]
) -> None:
    """Run all unfinished steps, on up to `workers` workers of a backend.

    Args:
        jobs: the cleaning of all languages.
        workers: the recipe's number; 0: one for each core.
        backend: where they run.
        progress: gets the number of filtered rows, and after them of scored ones.
        encoders: folders of the encoders of `clean.scores`, by the name of the score.

    Raises:
        InputError: a signal ended a worker's process; the other workers are stopped.
    """
    jobs = sorted(jobs, key=lambda job: -job.inputs.rows)  # the largest first: what it ends with is one step
    for job in jobs:
        if job.finished:  # a kill can have come between its tables and the removal of its scratch files
            discard(job.scratch.root)
    scores = [name for name, score in jobs[0].settings.scores.items() if not isinstance(score, CorpusScore)]
    if not scores:
        _run_phases(jobs, PHASES, workers, backend, progress)
        return
    _run_phases(jobs, PHASES[:-1], workers, backend, progress)
    for name in scores:
        _run_scores([ScoreJob(job=job, name=name, encoder=encoders.get(name)) for job in jobs], workers, backend, progress)
    _run_phases(jobs, PHASES[-1:], workers, backend, silent)


@dataclass(frozen=True)
class _JobPhases:
    """Some phases of a language's job; a `PhasedJob`."""

    job: LanguageJob
    phases: Sequence[Phase]

    @property
    def preparation(self) -> Sequence[Phase]:
        """The first phases, which all jobs go through first."""
        return self.job.preparation

    @property
    def finished(self) -> bool:
        """Whether these phases are done."""
        return self.job.finished or not any(map(self.job.unfinished, self.phases))

    def unfinished(self, phase: Phase) -> Sequence[int]:
        """Return the numbers of a phase's steps that are not done yet."""
        return self.job.unfinished(phase)


def _run_phases(
    jobs: Sequence[LanguageJob], phases: Sequence[Phase], workers: int, backend: ExecutionBackend, progress: Progress
) -> None:
    """Run the unfinished steps of some phases."""
    graph = PhasedGraph(
        [_JobPhases(job, phases) for job in jobs], lambda job, phase, number: CleanStep(job=job.job, phase=phase, part=number)
    )
    rows = sum(job.inputs.rows for job in jobs)
    missing = sum(job.part_rows(part) for job in jobs if not job.finished for part in job.unfinished("filter"))
    counter = ProgressCounter(progress, rows - missing, rows, "rows")

    def report(step: CleanStep) -> None:
        if step.phase == "fit":
            ratio = CorpusStatistics.load(step.job.statistics).lengths.ratio
            log.info("%s: a translation has %.2f characters per source character", step.job.target, ratio)
        elif step.phase == "filter":
            counter.add(step.job.part_rows(step.part), language=step.job.target)

    workers = min(workers or backend.cores, _max_parallel_steps(jobs, phases))
    if workers < 2 or max(missing, rows if phases == PHASES[-1:] else 0) <= _MAX_ROWS_IN_PROCESS:
        run_in_process(graph, report)
    else:
        run_on_workers(graph, [BackendWorker(backend.start_worker(WORKER)) for _ in range(workers)], report)
    counter.complete()


class _DeviceWorker(StepWorker[ScoreStep]):
    """Scores on a worker of an execution backend, with a device of its own."""

    def __init__(self, worker: Worker, device: str) -> None:
        self._worker, self._device = BackendWorker(worker), device

    def start(self) -> None:
        """Wait until the worker can run steps."""
        self._worker.start()

    def run(self, step: ScoreStep) -> None:
        """Send the step to the worker and return when it is done."""
        self._worker.run(step.model_copy(update={"device": self._device}))

    def kill(self) -> None:
        """Stop the worker at once."""
        self._worker.kill()

    def close(self) -> None:
        """Stop the worker, which runs no step."""
        self._worker.close()


def _run_scores(jobs: Sequence[ScoreJob], workers: int, backend: ExecutionBackend, progress: Progress) -> None:
    """Compute one score of all languages: on a worker a GPU, or a core, or in this process if there is little to do."""
    rows = sum(job.job.inputs.rows for job in jobs)
    parts = [(job, part) for job in jobs if not job.finished for part in job.unfinished("score")]
    missing = sum(job.job.part_rows(part) for job, part in parts)
    counter = ProgressCounter(progress, rows - missing, rows, f"rows with {jobs[0].name}")
    if not parts:
        return

    def report(step: ScoreStep) -> None:
        counter.add(step.job.job.part_rows(step.part), language=step.job.job.target)

    devices = _devices(jobs[0], workers, backend)[: len(parts)]
    reserves_gpu = devices[0] != _CPU and backend.gpus is not None  # the GPU may be another machine's
    graph = PhasedGraph(jobs, lambda job, _, part: ScoreStep(job=job, part=part, device=devices[0]))
    if not reserves_gpu and (len(devices) < 2 or missing <= _MAX_PAIRS_IN_PROCESS):
        try:
            run_in_process(graph, report)
        finally:
            close_encoders()
    else:
        started = [(backend.start_worker(SCORE_WORKER, float(reserves_gpu)), device) for device in devices]
        run_on_workers(graph, [_DeviceWorker(worker, device) for worker, device in started], report)
    counter.complete()


def _devices(job: ScoreJob, workers: int, backend: ExecutionBackend) -> list[str]:
    """Return the device of each worker that computes a score."""
    settings = job.job.settings.scores[job.name]
    if isinstance(settings, EncoderScore) and job.encoder:
        return encoder_devices(settings, job.encoder, workers, backend)
    return [_CPU] * (settings.workers if isinstance(settings, ProgramScore) else workers or backend.cores)


def _max_parallel_steps(jobs: Sequence[LanguageJob], phases: Sequence[Phase]) -> int:
    """Return how many steps can run at a time at most."""
    unfinished = [job for job in jobs if not job.finished]
    return max(sum(len(job.unfinished(phase)) for job in unfinished) for phase in phases)
