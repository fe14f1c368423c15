"""A stage's graph of steps: which step can run next, and which steps a finished one unblocks.

A step is a small deterministic unit of work that commits its own result, so a stage that is killed resumes at the first unfinished step.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar


class Step(Protocol):
    """A unit of work. Repeating a step writes the same bytes."""

    @property
    def description(self) -> str:
        """What the step does; error messages begin with it."""

    @property
    def remedy(self) -> str:
        """What to do when a signal ends the step's process."""

    @property
    def timeout(self) -> float | None:
        """Seconds after which the step's process counts as hung and is killed; None: no limit."""

    @property
    def reads(self) -> Sequence[Path]:
        """The files and folders that the step reads: inputs, and parts that earlier steps wrote. One that does not exist is not read."""

    def run(self) -> None:
        """Do the work in this process. What it writes are parts of a workspace."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return the step as JSON (`mode="json"`), which a worker process turns back into the step."""


S = TypeVar("S", bound=Step)
P = TypeVar("P", bound=str)
J = TypeVar("J", bound="PhasedJob[Any]")


class StepGraph(Protocol[S]):
    """The steps of a stage in the order of their dependencies."""

    def pop_ready(self) -> S | None:
        """Remove and return the next step whose dependencies are done; None while there is none."""

    def mark_done(self, step: S) -> None:
        """Make the steps ready that waited for this one only."""

    @property
    def drained(self) -> bool:
        """Whether no step is ready and no running step will unblock another: idle workers are not needed any more."""


class IndependentSteps(StepGraph[S]):
    """Steps that do not depend on each other, in their order."""

    def __init__(self, steps: Sequence[S]) -> None:
        self._steps = deque(steps)

    def pop_ready(self) -> S | None:
        """Remove and return the next step; None after the last."""
        return self._steps.popleft() if self._steps else None

    def mark_done(self, step: S) -> None:
        """Do nothing: no step waits for another."""

    @property
    def drained(self) -> bool:
        """Whether all steps were taken."""
        return not self._steps


class PhasedJob(Protocol[P]):
    """Work, e.g. on one language, in phases that run one after another; the steps of a phase do not depend on each other."""

    @property
    def phases(self) -> Sequence[P]:
        """The names of the phases, in order."""

    @property
    def preparation(self) -> Sequence[P]:
        """The first phases, up to the last one with a single long step (or none): all jobs go through them first.

        Otherwise the single step of the last job would begin late, and all workers but one would wait for it.
        """

    @property
    def finished(self) -> bool:
        """Whether the job's result is complete."""

    def unfinished(self, phase: P) -> Sequence[int]:
        """Return the numbers of a phase's steps that are not done yet. Called when the phase before it is done."""


class PhasedGraph(StepGraph[S], Generic[J, S]):
    """The steps of several jobs: first their preparation, then job by job, so that the results of the first ones are complete early."""

    def __init__(self, jobs: Sequence[J], make_step: Callable[[J, Any, int], S]) -> None:
        """Skip jobs that are finished, and phases without unfinished steps.

        Args:
            jobs: in the order of their priority.
            make_step: returns the step of a job for a phase and a number of `PhasedJob.unfinished`.
        """
        self._jobs, self._make_step = jobs, make_step
        self._ready: list[tuple[bool, int, int, int]] = []  # a heap: whether the job is prepared; job, phase, number of the step
        self._running: dict[int, tuple[int, int]] = {}  # by the step's identity: job and phase
        self._unfinished = [0] * len(jobs)  # steps of each job's current phase
        self._before_last_phase = sum(not job.finished for job in jobs)
        for index, job in enumerate(jobs):
            if not job.finished:
                self._enqueue(index, 0)

    def pop_ready(self) -> S | None:
        """Remove and return the next step whose dependencies are done; None while there is none."""
        if not self._ready:
            return None
        _, index, phase, number = heapq.heappop(self._ready)
        job = self._jobs[index]
        step = self._make_step(job, job.phases[phase], number)
        self._running[id(step)] = index, phase
        return step

    def mark_done(self, step: S) -> None:
        """Enqueue the job's next phase when this was the last step of its current one."""
        index, phase = self._running.pop(id(step))
        self._unfinished[index] -= 1
        if not self._unfinished[index] and phase + 1 < len(self._jobs[index].phases):
            self._enqueue(index, phase + 1)

    @property
    def drained(self) -> bool:
        """Whether no step is ready and every unfinished job has reached its last phase."""
        return not self._ready and not self._before_last_phase

    def _enqueue(self, index: int, phase: int) -> None:
        """Enqueue the steps of a phase or, where all of them are done, of the next one; of a job without any other step, none."""
        phases = self._jobs[index].phases
        numbers = self._jobs[index].unfinished(phases[phase])
        while not numbers and phase + 1 < len(phases):
            phase += 1
            numbers = self._jobs[index].unfinished(phases[phase])
        self._before_last_phase -= phase == len(phases) - 1
        self._unfinished[index] = len(numbers)
        prepared = phases[phase] not in self._jobs[index].preparation
        for number in numbers:
            heapq.heappush(self._ready, (prepared, index, phase, number))
