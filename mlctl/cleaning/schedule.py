"""Which step is done when: those of several languages side by side, by workers where there is enough to do."""

from __future__ import annotations

import concurrent.futures
import heapq
import logging
from collections.abc import Sequence
from contextlib import ExitStack

from mlctl.cleaning.corpus_statistics import CorpusStatistics
from mlctl.cleaning.language_job import Language, Step, StepName
from mlctl.core.workspace import Progress
from mlctl.execution.backend import ExecutionBackend, Worker

log = logging.getLogger(__name__)

# Workers take a second or two to start: fewer rows are done here sooner.
_FEW_ROWS = 10_000
#: The module that a worker runs.
WORKER = "mlctl.cleaning.worker"
_REMEDY = "if memory ran out, set clean.workers lower; what is finished is kept by another run"


class Agenda:
    """The steps that can be done now, those of the first language first."""

    def __init__(self, languages: Sequence[Language]) -> None:
        self._languages = languages
        self._ready: list[tuple[int, int, StepName]] = []  # a heap: the language's number, the part's, what to do
        self._looking = [0] * len(languages)  # slices of the sample that are still to be looked at
        self._judging = [0] * len(languages)  # parts that are still to be judged
        for number, language in enumerate(languages):
            if language.learned.exists() and not language.finished:
                self._judge(number)
            elif not language.finished:
                self._look(number)

    def next(self) -> Step | None:
        """Take a step off; None while there is none that can be done."""
        if not self._ready:
            return None
        number, part, name = heapq.heappop(self._ready)
        return Step(language=self._languages[number], name=name, part=part)

    def done(self, step: Step) -> None:
        """Put down the steps that this one was missing for."""
        number = self._languages.index(step.language)
        if step.name == "look":
            self._looking[number] -= 1
            if not self._looking[number]:
                self._add(number, "learn")
        elif step.name == "learn":
            self._judge(number)
        elif step.name == "judge":
            self._judging[number] -= 1
            if not self._judging[number]:
                self._add(number, "finish")

    def _look(self, number: int) -> None:
        unseen = self._languages[number].unseen
        self._looking[number] = len(unseen)
        for part in unseen:
            self._add(number, "look", part)
        if not unseen:
            self._add(number, "learn")

    def _judge(self, number: int) -> None:
        missing = self._languages[number].missing
        self._judging[number] = len(missing)
        for part in missing:
            self._add(number, "judge", part)
        if not missing:
            self._add(number, "finish")

    def _add(self, number: int, name: StepName, part: int = 0) -> None:
        heapq.heappush(self._ready, (number, part, name))


def run(languages: Sequence[Language], workers: int, backend: ExecutionBackend, progress: Progress) -> None:
    """Do all that is not finished, by up to `workers` workers of a crew.

    Raises:
        InputError: a process was ended; the others are stopped.
    """
    tally = _Tally(languages, progress)
    workers = min(workers, tally.steps)
    agenda = Agenda(languages)
    if workers < 2 or tally.rows <= _FEW_ROWS:
        _here(agenda, tally)
    else:
        _side_by_side(agenda, tally, [backend.worker(WORKER) for _ in range(workers)])
    tally.end()


class _Tally:
    """Counts the rows that are judged, for people who wait."""

    def __init__(self, languages: Sequence[Language], progress: Progress) -> None:
        self._progress = progress
        self._total = sum(language.inputs.rows for language in languages)
        sizes = [_size(language, part) for language in languages if not language.finished for part in language.missing]
        slices = sum(len(language.unseen) for language in languages if not language.learned.exists())
        self.steps, self.rows = max(len(sizes), slices), sum(sizes)
        self._done = self._total - self.rows
        progress(self._done, self._total, "rows")

    def add(self, step: Step) -> None:
        """Count a step that is done."""
        if step.name == "learn":
            ratio = CorpusStatistics.load(step.language.learned).lengths.ratio
            log.info("%s: a translation has %.2f characters for each of the source", step.language.target, ratio)
        elif step.name == "judge":
            self._done += _size(step.language, step.part)
            self._progress(self._done, self._total, "rows", language=step.language.target)

    def end(self) -> None:
        """All is done."""
        self._progress(self._total, self._total, "rows")


def _size(language: Language, part: int) -> int:
    first, last = language.inputs.parts[part]
    return last - first


def _here(agenda: Agenda, tally: _Tally) -> None:
    while step := agenda.next():
        step.do()
        agenda.done(step)
        tally.add(step)


def _side_by_side(agenda: Agenda, tally: _Tally, idle: list[Worker]) -> None:
    with ExitStack() as stack:
        for worker in idle:
            stack.callback(worker.close)
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(len(idle)))
        for worker in idle:
            stack.callback(worker.kill)  # comes first: nobody waits for a worker when a step has failed
        running: dict[concurrent.futures.Future[None], tuple[Worker, Step]] = {}
        while True:
            while idle and (step := agenda.next()):
                worker = idle.pop()
                running[pool.submit(_ask, worker, step)] = worker, step
            if all(step.name == "finish" for _, step in running.values()):  # nothing else is to come
                while idle:
                    idle.pop().close()
            if not running:
                return
            for future in concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED).done:
                worker, step = running.pop(future)
                future.result()
                idle.append(worker)
                agenda.done(step)
                tally.add(step)


def _ask(worker: Worker, step: Step) -> None:
    worker.do(step.model_dump(mode="json"), f"clean of {step.language.target} ({step.name})", _REMEDY)
