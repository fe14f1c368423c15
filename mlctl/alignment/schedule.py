"""Which step is done when: those of several languages side by side, each by a worker."""

from __future__ import annotations

import concurrent.futures
import heapq
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from mlctl.alignment.fault_isolation import ResilientWorker
from mlctl.alignment.language_job import Language, Step, StepName
from mlctl.core.workspace import Progress
from mlctl.execution.backend import Worker

log = logging.getLogger(__name__)

_STEPS: tuple[StepName, ...] = ("split", "learn", "link", "finish")


class Agenda:
    """The steps that can be done now, those of the first language first."""

    def __init__(self, languages: Sequence[Language]) -> None:
        self._languages = languages
        self._ready: list[tuple[int, int, int]] = []  # a heap: the language's number, the step's, the part's
        self._open = [0] * len(languages)  # what is to be done before the language's next step
        for number, language in enumerate(languages):
            if not language.finished:
                self._begin(number, 0)

    def next(self) -> Step | None:
        """Take a step off; None while there is none that can be done."""
        if not self._ready:
            return None
        number, step, part = heapq.heappop(self._ready)
        return Step(language=self._languages[number], name=_STEPS[step], part=part)

    def done(self, step: Step) -> None:
        """Put down the steps that this one was missing for."""
        number = self._languages.index(step.language)
        self._open[number] -= 1
        if not self._open[number] and step.name != _STEPS[-1]:
            self._begin(number, _STEPS.index(step.name) + 1)

    def _begin(self, number: int, step: int) -> None:
        """Put down a step of a language, or the next one where all of it is done."""
        parts = self._languages[number].missing(_STEPS[step])
        if not parts:
            self._begin(number, step + 1)
            return
        self._open[number] = len(parts)
        for part in parts:
            heapq.heappush(self._ready, (number, step, part))


class Tally:
    """Counts the parts that are split and linked, for people who wait."""

    def __init__(self, languages: Sequence[Language], progress: Progress) -> None:
        self._progress = progress
        self._total = sum(2 * len(language.parts) for language in languages)
        self.missing = sum(
            len(language.missing(step)) for language in languages if not language.finished for step in ("split", "link")
        )
        self._done = self._total - self.missing
        progress(self._done, self._total, "parts")

    def add(self, step: Step) -> None:
        """Count a step that is done."""
        if step.name == "learn":
            log.info("%s: learned", step.language.target)
        self._done += step.name in {"split", "link"}
        self._progress(self._done, self._total, "parts", language=step.language.target, step=step.name)


def run(languages: Sequence[Language], workers: int, start_worker: Callable[[str], Worker], progress: Progress) -> None:
    """Do all that is not finished, by up to `workers` workers; `hire` starts one of a module.

    Raises:
        InputError: a step failed for a reason that it names, or its process ended again and again; the others are stopped.
    """
    tally, agenda = Tally(languages, progress), Agenda(languages)
    with ExitStack() as stack:
        idle = [ResilientWorker(start_worker) for _ in range(max(1, min(workers, tally.missing)))]
        for worker in idle:
            stack.callback(worker.close)
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(len(idle)))
        for worker in idle:
            stack.callback(worker.kill)  # comes first: nobody waits for a process when a step has failed
        running: dict[concurrent.futures.Future[None], tuple[ResilientWorker, Step]] = {}
        while True:
            while idle and (step := agenda.next()):
                worker = idle.pop()
                running[pool.submit(worker.do, step)] = worker, step
            if not running:
                return
            for future in concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED).done:
                worker, step = running.pop(future)
                future.result()
                idle.append(worker)
                agenda.done(step)
                tally.add(step)
