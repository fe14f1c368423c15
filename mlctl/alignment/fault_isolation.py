"""Fault isolation: a crash or a hang of an aligner costs the pair that the aligner cannot align, not the run."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pyarrow.parquet as pq

from mlctl.alignment.language_job import LanguageJob, RowRange
from mlctl.alignment.steps import AlignStep
from mlctl.errors import InputError
from mlctl.execution.backend import Worker
from mlctl.execution.processes import ProcessDiedError
from mlctl.execution.scheduler import StepWorker

log = logging.getLogger(__name__)

#: The module that a worker runs.
WORKER = "mlctl.alignment.worker"

_MAX_FAILED_PAIRS = 20  # in a part; above this the aligner is at fault, not the data


class ResilientWorker(StepWorker[AlignStep]):
    """Runs steps on a worker, starts a new one when its process has ended, and isolates the pairs that crash the aligner."""

    def __init__(self, start_worker: Callable[[str], Worker]) -> None:
        """Take a function that starts a worker that runs a module."""
        self._start_worker = start_worker
        self._worker: Worker | None = None
        self._stopped = False

    def start(self) -> None:
        """Wait until the worker can run steps."""
        self._worker = self._worker or self._start_worker(WORKER)
        self._worker.start()

    def run(self, step: AlignStep) -> None:
        """Run a step. A step that crashes or hangs is retried once; a part that fails again is aligned without the pairs at fault.

        Raises:
            InputError: the step failed for a reason that the user can fix, or too many pairs of a part failed.
            ProcessDiedError: a signal ended the process while it trained, or twice in a step other than `align`.
        """
        if step.phase == "align":
            self._align(step.job, step.part)
        elif error := self._try(step):
            if step.phase == "train":  # no retry: training can take hours
                raise error
            _log_retry(error)
            self._run_on_worker(step)

    def kill(self) -> None:
        """Stop the worker at once; no other is started."""
        self._stopped = True
        if self._worker:
            self._worker.kill()

    def close(self) -> None:
        """Stop the worker, which runs no step."""
        if self._worker:
            self._worker.close()
            self._worker = None

    def _align(self, job: LanguageJob, part: int) -> None:
        ranges, failed = self._align_range(job, part, (0, job.part_rows(part)), [])
        job.write_ranges(part, ranges, failed)

    def _align_range(self, job: LanguageJob, part: int, rows: RowRange, failed: list[int]) -> tuple[list[RowRange], list[int]]:
        """Align a range of rows, by halves if that fails; return the ranges that are aligned, and `failed` with the rows at fault."""
        first, last = rows
        step = AlignStep(job=job, phase="align", part=part, rows=rows)
        is_whole_part = last - first == job.part_rows(part)
        error = self._try(step)
        # Halves are not retried: the part has failed twice already, and each retry costs time.
        if error and (is_whole_part or last - first == 1):
            _log_retry(error)
            error = self._try(step)
        if not error:
            return [rows], failed
        if first == last:
            raise error
        if last - first == 1:
            return [], self._with_failed_row(job, part, failed, first, error)
        middle = (first + last) // 2
        left, failed = self._align_range(job, part, (first, middle), failed)
        right, failed = self._align_range(job, part, (middle, last), failed)
        return [*left, *right], failed

    def _with_failed_row(self, job: LanguageJob, part: int, failed: list[int], row: int, error: Exception) -> list[int]:
        log.warning("%s; the pair is rejected: %s", _summary(error), _origin(job, part, row))
        if len(failed) == _MAX_FAILED_PAIRS:
            problem = f"{_summary(error)}, and the aligner failed on more than {_MAX_FAILED_PAIRS} pairs of one part"
            remedy = AlignStep(job=job, phase="align").remedy
            raise InputError(problem, f"the aligner is at fault, not the pairs: {remedy}") from error
        return [*failed, row]

    def _try(self, step: AlignStep) -> Exception | None:
        """Run a step; return the error if its process ended."""
        try:
            self._run_on_worker(step)
        except (ProcessDiedError, RuntimeError) as error:
            if self._stopped:
                raise
            return error
        return None

    def _run_on_worker(self, step: AlignStep) -> None:
        worker = self._worker = self._worker or self._start_worker(WORKER)
        if self._stopped:
            worker.kill()
        try:
            worker.run(step.model_dump(mode="json"), step.description, step.remedy, step.timeout, step.reads)
        except (ProcessDiedError, RuntimeError):
            self.close()
            raise


def _log_retry(error: Exception) -> None:
    log.warning("%s; retrying", _summary(error))


def _summary(error: Exception) -> str:
    """Return an error in one line: of a traceback the first and the last line."""
    lines = (error.problem if isinstance(error, InputError) else str(error)).strip().splitlines()
    return " ".join(dict.fromkeys((lines[0], lines[-1])))


def _origin(job: LanguageJob, part: int, row: int) -> str:
    """Return where a pair is from, for messages."""
    pair = pq.read_table(job.words_file(part), columns=["corpus", "origin"]).slice(row, 1).to_pylist()[0]
    return f"{pair['origin']} of {pair['corpus']}"
