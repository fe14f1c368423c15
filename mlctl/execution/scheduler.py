"""The scheduler: runs a stage's graph of steps, on the workers of an execution backend or in this process.

Which worker runs which step changes no byte of the result: steps are deterministic and commit their own results.
"""

from __future__ import annotations

import concurrent.futures
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Generic, Protocol, TypeVar

from mlctl.core.workspace import Progress
from mlctl.execution.backend import Worker, WorkerLostError
from mlctl.execution.processes import ProcessDiedError
from mlctl.execution.step_graph import Step, StepGraph

_MAX_LOSSES = 5  # of workers that ran the same step; above this the step is at fault, not the machines

_log = logging.getLogger(__name__)

S = TypeVar("S", bound=Step)
T_contra = TypeVar("T_contra", bound=Step, contravariant=True)


class StepWorker(Protocol[T_contra]):
    """Runs steps one after another. A stage can bring its own, e.g. one that retries crashed steps."""

    def start(self) -> None:
        """Wait until the worker can run steps; called before its first one, and after a step raised a WorkerLostError."""

    def run(self, step: T_contra) -> None:
        """Run a step and return when it is done."""

    def kill(self) -> None:
        """Stop the worker at once; a running step raises an error."""

    def close(self) -> None:
        """Stop the worker, which runs no step; a second call does nothing."""


class BackendWorker(StepWorker[Step]):
    """Runs steps on a worker of an execution backend; a step that fails is not retried."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def start(self) -> None:
        """Wait until the worker can run steps."""
        self._worker.start()

    def run(self, step: Step) -> None:
        """Send the step to the worker; see `mlctl.execution.processes.ChildProcess.run_and_list` for what it raises."""
        self._worker.run(step.model_dump(mode="json"), step.description, step.remedy, step.timeout, step.reads)

    def kill(self) -> None:
        """Stop the worker at once."""
        self._worker.kill()

    def close(self) -> None:
        """Stop the worker, which runs no step."""
        self._worker.close()


class ProgressCounter:
    """Counts and reports the finished units of a stage, including those of an earlier run."""

    def __init__(self, progress: Progress, done: int, total: int, unit: str) -> None:
        self._progress = progress
        self._done, self._total, self._unit = done, total, unit
        progress(done, total, unit)

    def add(self, units: int, **figures: float | str) -> None:
        """Report `units` more; `figures` are shown beside."""
        self._done += units
        self._progress(self._done, self._total, self._unit, **figures)

    def complete(self) -> None:
        """Report that all units are done."""
        self._progress(self._total, self._total, self._unit)


def run_in_process(graph: StepGraph[S], on_done: Callable[[S], None]) -> None:
    """Run all steps in this process, which is faster for little work: workers take a second or two to start.

    Args:
        graph: the steps.
        on_done: called with each step when it is done.
    """
    while step := graph.pop_ready():
        step.run()
        graph.mark_done(step)
        on_done(step)


def run_on_workers(graph: StepGraph[S], workers: Sequence[StepWorker[S]], on_done: Callable[[S], None]) -> None:
    """Run all steps, as many at a time as there are workers, and close the workers.

    The first step that fails stops the others: their workers are killed before this function returns. Idle workers are closed
    as soon as the graph is drained, which frees their memory for the steps that still run. A worker that cannot start yet, because
    others use the cluster, holds up no step; the step of one that is lost with its machine goes to the next that is idle.

    Args:
        graph: the steps.
        workers: one at least.
        on_done: called in this thread with each step when it is done.

    Raises:
        Exception: that of the first step that failed, or of `on_done`.
        ProcessDiedError: a step was lost with its worker again and again.
    """
    with ExitStack() as stack:
        for worker in workers:
            stack.callback(worker.close)
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(len(workers)))
        for worker in workers:
            stack.callback(worker.kill)  # runs before the pool is joined: a failed step does not wait for the others
        _Run(graph, pool, on_done).run(workers)


class _Run(Generic[S]):
    """The steps and the workers of one call of `run_on_workers`."""

    def __init__(self, graph: StepGraph[S], pool: concurrent.futures.Executor, on_done: Callable[[S], None]) -> None:
        self._graph, self._pool, self._on_done = graph, pool, on_done
        self._idle: list[StepWorker[S]] = []
        self._starting: dict[concurrent.futures.Future[None], StepWorker[S]] = {}
        self._running: dict[concurrent.futures.Future[None], tuple[StepWorker[S], S]] = {}
        self._lost: list[S] = []  # steps that are run again
        self._losses: Counter[int] = Counter()  # by the step's identity

    def run(self, workers: Sequence[StepWorker[S]]) -> None:
        for worker in workers:
            self._start(worker)
        while True:
            while self._idle and (step := self._lost.pop() if self._lost else self._graph.pop_ready()):
                worker = self._idle.pop()
                self._running[self._pool.submit(worker.run, step)] = worker, step
            while self._idle and self._graph.drained:
                self._idle.pop().close()
            if not self._running and not self._lost and (self._idle or self._graph.drained):
                return
            for future in concurrent.futures.wait(
                [*self._running, *self._starting], return_when=concurrent.futures.FIRST_COMPLETED
            ).done:
                if future in self._starting:
                    future.result()
                    self._idle.append(self._starting.pop(future))
                else:
                    self._finish(future)

    def _start(self, worker: StepWorker[S]) -> None:
        self._starting[self._pool.submit(worker.start)] = worker

    def _finish(self, future: concurrent.futures.Future[None]) -> None:
        worker, step = self._running.pop(future)
        try:
            future.result()
        except WorkerLostError as error:
            self._losses[id(step)] += 1
            if self._losses[id(step)] == _MAX_LOSSES:
                raise ProcessDiedError(f"{error}; so were {_MAX_LOSSES - 1} before", step.remedy) from error
            _log.warning("%s; another worker runs the step", error)
            self._lost.append(step)
            self._start(worker)
            return
        self._idle.append(worker)
        self._graph.mark_done(step)
        self._on_done(step)
