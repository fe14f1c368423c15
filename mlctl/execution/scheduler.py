"""The scheduler: runs a stage's graph of steps, on the workers of an execution backend or in this process.

Which worker runs which step changes no byte of the result: steps are deterministic and commit their own results.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Protocol, TypeVar

from mlctl.core.workspace import Progress
from mlctl.execution.backend import Worker
from mlctl.execution.step_graph import Step, StepGraph

S = TypeVar("S", bound=Step)
T_contra = TypeVar("T_contra", bound=Step, contravariant=True)


class StepWorker(Protocol[T_contra]):
    """Runs steps one after another. A stage can bring its own, e.g. one that retries crashed steps."""

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

    def run(self, step: Step) -> None:
        """Send the step to the worker; see `mlctl.execution.processes.ChildProcess.run` for what it raises."""
        self._worker.run(step.model_dump(mode="json"), step.description, step.remedy, step.timeout)

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
    as soon as the graph is drained, which frees their memory for the steps that still run.

    Args:
        graph: the steps.
        workers: one at least.
        on_done: called in this thread with each step when it is done.

    Raises:
        Exception: that of the first step that failed, or of `on_done`.
    """
    idle = list(workers)
    with ExitStack() as stack:
        for worker in workers:
            stack.callback(worker.close)
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(len(workers)))
        for worker in workers:
            stack.callback(worker.kill)  # runs before the pool is joined: a failed step does not wait for the others
        running: dict[concurrent.futures.Future[None], tuple[StepWorker[S], S]] = {}
        while True:
            while idle and (step := graph.pop_ready()):
                worker = idle.pop()
                running[pool.submit(worker.run, step)] = worker, step
            while idle and graph.drained:
                idle.pop().close()
            if not running:
                return
            for future in concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED).done:
                worker, step = running.pop(future)
                future.result()
                idle.append(worker)
                graph.mark_done(step)
                on_done(step)
