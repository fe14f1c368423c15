"""Scheduling of the stage: runs the steps of all languages, on workers if that is faster, and reports their progress."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial

from mlctl.config import Translate
from mlctl.core.workspace import Progress
from mlctl.execution.backend import ExecutionBackend, Worker
from mlctl.execution.scheduler import BackendWorker, ProgressCounter, StepWorker, run_on_workers
from mlctl.execution.step_graph import PhasedGraph
from mlctl.translation import quality
from mlctl.translation.backend_pool import close_process_pool
from mlctl.translation.fault_counter import FaultCounter
from mlctl.translation.language_job import LanguageJob, Phase, TranslateStep
from mlctl.translation.licences import backend_name
from mlctl.translation.memory_exchange import MemoryExchange
from mlctl.translation.parallelism import Parallelism, choose_parallelism
from mlctl.translation.parts import Direction
from mlctl.translation.translation_memory import TranslationMemory

#: The module that a worker runs.
WORKER = "mlctl.translation.worker"

# Workers take seconds to start and to load their models. In this process ctranslate2 and programs use several threads, too; so few texts
# are translated as fast in this process.
_MAX_TEXTS_IN_PROCESS = {"ctranslate2": 5000, "transformers": 100, "apertium": 5000, "command": 5000}
# Parts that this process translates at the same time: with two, the next one's sentences are queued while one is written.
_CONCURRENT_PARTS = {"ctranslate2": 2, "openai": 2}

_log = logging.getLogger(__name__)


class GraphRun:
    """One run of the steps of all languages: what it knows between steps."""

    def __init__(
        self, settings: Translate, jobs: Sequence[LanguageJob], memory: TranslationMemory | None, progress: Progress
    ) -> None:
        """Take the settings, the jobs, the translation memory (None: without one) and the progress callback, which gets texts."""
        self._settings, self._jobs = settings, jobs
        # The backend openai stores each answer itself: it was paid for, and a part can take long.
        self._memory = MemoryExchange(None if settings.backend == "openai" else memory)
        self._missing = sum(job.part_sizes[part] for job in jobs for part in job.unfinished("translate"))
        total = sum(sum(job.part_sizes) for job in jobs)
        self._counter = ProgressCounter(progress, total - self._missing, total, "segments")
        self._faults = {job.target: _count_faults(settings, job) for job in jobs}
        for job in jobs:
            for direction in filter(job.is_measured, job.directions):
                _report_measurement(job, direction)

    def run(self, backend: ExecutionBackend) -> None:
        """Run all unfinished steps.

        Raises:
            InputError: too many outputs of a language are faulty, or a signal ended a worker's process; the other workers are stopped.
        """
        pairs = [[(direction.source, direction.target) for direction in job.directions] for job in self._jobs]
        with contextlib.closing(self._memory):
            if all(job.finished for job in self._jobs):
                return
            chosen = choose_parallelism(self._settings, backend, pairs)
            if chosen.workers < 2 or self._missing <= _MAX_TEXTS_IN_PROCESS[self._settings.backend]:
                self._run_in_process(chosen.in_process(self._settings))
            else:
                self._run_on_workers(chosen, backend)

    def _run_in_process(self, chosen: Parallelism) -> None:
        stop = close_process_pool if self._settings.backend == "openai" else None
        workers = [ThreadWorker(stop) for _ in range(_CONCURRENT_PARTS.get(self._settings.backend, 1))]
        try:
            run_on_workers(self._graph(chosen), workers, self._report)
        finally:
            close_process_pool()

    def _run_on_workers(self, chosen: Parallelism, backend: ExecutionBackend) -> None:
        steps = sum(max(len(job.unfinished(phase)) for phase in job.phases) for job in self._jobs)
        workers = [
            DeviceWorker(backend.start_worker(WORKER, chosen.gpus, chosen.threads), device)
            for device in chosen.devices[: max(1, steps)]
        ]
        run_on_workers(self._graph(chosen), workers, self._report)

    def _graph(self, chosen: Parallelism) -> PhasedGraph[LanguageJob, TranslateStep]:
        return PhasedGraph(self._jobs, partial(self._make_step, chosen))

    def _make_step(self, chosen: Parallelism, job: LanguageJob, phase: Phase, number: int) -> TranslateStep:
        """Return a step that is about to run, with what the translation memory has of its part."""
        has_known = phase == "translate" and self._memory.look_up(job, number)
        return TranslateStep(
            job=job, phase=phase, number=number, device=chosen.devices[0], threads=chosen.threads, has_known=has_known
        )

    def _report(self, step: TranslateStep) -> None:
        """Count and log what a finished step has done.

        Raises:
            InputError: too many outputs are faulty.
        """
        job, part = step.job, step.number
        if step.phase == "measure":
            _report_measurement(job, job.directions[part])
            self._memory.store_measured(job, job.directions[part])
            return
        self._memory.store(job, part)
        self._counter.add(job.part_sizes[part], language=job.target)
        faults = self._faults[job.target]
        faults.add_counts(*job.counts([part]), job.example_of_fault(part))
        faults.check()


class DeviceWorker(StepWorker[TranslateStep]):
    """Runs steps on a worker of an execution backend, with a device of its own."""

    def __init__(self, worker: Worker, device: str) -> None:
        self._worker, self._device = BackendWorker(worker), device

    def start(self) -> None:
        """Wait until the worker can run steps."""
        self._worker.start()

    def run(self, step: TranslateStep) -> None:
        """Send the step to the worker and return when it is done."""
        self._worker.run(step.model_copy(update={"device": self._device}))

    def kill(self) -> None:
        """Stop the worker at once."""
        self._worker.kill()

    def close(self) -> None:
        """Stop the worker, which runs no step."""
        self._worker.close()


class ThreadWorker(StepWorker[TranslateStep]):
    """Runs steps in this process, in the scheduler's threads, which share the backends."""

    def __init__(self, stop: Callable[[], None] | None) -> None:
        """Take what ends a running step; None: it ends by itself."""
        self._stop = stop

    def start(self) -> None:
        """Do nothing."""

    def run(self, step: TranslateStep) -> None:
        """Run a step and return when it is done."""
        step.run()

    def kill(self) -> None:
        """End a running step, if that is possible."""
        if self._stop:
            self._stop()

    def close(self) -> None:
        """Do nothing."""


def _count_faults(settings: Translate, job: LanguageJob) -> FaultCounter:
    """Return a counter with the outputs of a language's finished parts."""
    counter = FaultCounter(settings.max_faulty, " and ".join(direction.name for direction in job.directions))
    unfinished = set(job.unfinished("translate"))
    for part in range(len(job.part_sizes)):
        if part not in unfinished:
            counter.add_counts(*job.counts([part]), job.example_of_fault(part))
    return counter


def _report_measurement(job: LanguageJob, direction: Direction) -> None:
    """Log the measured quality of a direction's backend."""
    measurement = job.measurement(direction)
    for warning in measurement["warnings"]:
        _log.warning("%s", warning)
    quality.log(job.settings, direction.name, backend_name(measurement["identity"]), measurement["rows"])
