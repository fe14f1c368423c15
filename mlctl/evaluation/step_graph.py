"""Scheduling of the stage: runs steps in this process or on workers, each under the lock of the cache entry that it computes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from mlctl.config import Evaluate
from mlctl.core.workspace import Workspace
from mlctl.evaluation.placement import Placement, place
from mlctl.evaluation.score_cache import ScoreCache
from mlctl.evaluation.steps import EvaluationStep
from mlctl.evaluation.worker_log import repeated
from mlctl.execution.backend import ExecutionBackend, Worker
from mlctl.execution.scheduler import StepWorker, run_on_workers
from mlctl.execution.step_graph import PhasedGraph

Phase = Literal["before", "steps"]

#: The module that a worker runs.
WORKER = "mlctl.evaluation.worker"


@dataclass(frozen=True)
class StepGroup:
    """Steps that do not depend on each other, and steps before them that all of them depend on; a `PhasedJob`."""

    phases: ClassVar[Sequence[Phase]] = ("before", "steps")
    preparation: ClassVar[Sequence[Phase]] = ()  # group after group: a worker keeps the model of its last step

    steps: Sequence[EvaluationStep]
    before: Sequence[EvaluationStep] = ()

    @property
    def finished(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    def of_phase(self, phase: Phase) -> Sequence[EvaluationStep]:
        """Return the steps of a phase."""
        return self.before if phase == "before" else self.steps

    def unfinished(self, phase: Phase) -> Sequence[int]:
        """Return the numbers of a phase's steps."""
        return range(len(self.of_phase(phase)))


def run_steps(
    groups: Sequence[StepGroup],
    settings: Evaluate,
    cache: ScoreCache,
    workspace: Workspace,
    backend: ExecutionBackend,
    on_done: Callable[[EvaluationStep], None] = lambda _: None,
) -> None:
    """Run the steps of all groups, on up to `evaluate.workers` workers of a backend.

    Args:
        groups: in the order of their priority.
        settings: device and number of workers.
        cache: the score cache with its locks.
        workspace: of the stage.
        backend: where workers run.
        on_done: called with each step when it is done.

    Raises:
        InputError: a step failed for a reason that its message names, or a signal ended a worker's process; the other workers are
            stopped.
    """
    steps = [step for group in groups for step in (*group.before, *group.steps)]
    if not steps:
        return
    graph: PhasedGraph[StepGroup, EvaluationStep] = PhasedGraph(
        groups, lambda group, phase, number: group.of_phase(phase)[number]
    )
    placement = place(steps, sum(len(group.steps) for group in groups), settings, backend)
    if placement.workers:
        logs = [workspace.scratch / "logs" / f"{number}.jsonl" for number in range(placement.workers)]
        with repeated(logs):
            run_on_workers(graph, _workers(placement, logs, cache, backend), on_done)
        return
    while step := graph.pop_ready():
        with _to_compute(step, cache) as missing:
            if missing:
                step.run()
        graph.mark_done(step)
        on_done(step)


class CacheWorker(StepWorker[EvaluationStep]):
    """Runs steps on a worker of an execution backend.

    This process, not the worker's, holds the lock of the entry that the worker computes: the worker may be on a machine that does
    not share the folder, and a lock ends with the run. Two runs of one store compute no entry twice.

    Args:
        worker: where steps run.
        cache: the score cache with its locks.
        gpu: what the worker sees as CUDA_VISIBLE_DEVICES; None: what its environment says.
        log: file for its log records.
    """

    def __init__(self, worker: Worker, cache: ScoreCache, gpu: str | None, log: Path) -> None:
        self._worker, self._cache, self._gpu, self._log = worker, cache, gpu, log
        self._killed = threading.Event()

    def start(self) -> None:
        """Wait until the worker can run steps."""
        self._worker.start()

    def run(self, step: EvaluationStep) -> None:
        """Send the step to the worker, unless another run has computed its entry meanwhile."""
        with _to_compute(step, self._cache, self._killed.is_set) as missing:
            if missing:
                message = {"step": step.model_dump(mode="json"), "gpu": self._gpu, "log": str(self._log)}
                self._worker.run(message, step.description, step.remedy, step.timeout, step.reads)

    def kill(self) -> None:
        """Stop the worker at once, also while it waits for another run."""
        self._killed.set()
        self._worker.kill()

    def close(self) -> None:
        """Stop the worker, which runs no step."""
        self._worker.close()


def _workers(
    placement: Placement, logs: Sequence[Path], cache: ScoreCache, backend: ExecutionBackend
) -> list[StepWorker[EvaluationStep]]:
    return [
        CacheWorker(backend.start_worker(WORKER, placement.gpu_share), cache, placement.gpu(number), log)
        for number, log in enumerate(logs)
    ]


def _to_compute(
    step: EvaluationStep, cache: ScoreCache, cancelled: Callable[[], bool] = lambda: False
) -> AbstractContextManager[bool]:
    """Return a context manager that holds the lock of the step's entry, and says whether the step has to be run still."""
    return cache.exclusive(step.cache_entry, cancelled) if step.cache_entry else contextlib.nullcontext(True)
