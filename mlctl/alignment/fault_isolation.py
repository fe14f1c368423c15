"""Steps in child processes: a crash or a hang of an engine costs the pair that it cannot align, not the run."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pyarrow.parquet as pq

from mlctl.alignment import registry
from mlctl.alignment.language_job import Language, Piece, Step
from mlctl.errors import InputError
from mlctl.execution.backend import Worker
from mlctl.execution.processes import EndedError

log = logging.getLogger(__name__)

# The module that a child runs, and how long it may take over a piece before it counts as hung: seconds, and seconds a pair.
# Aligning takes less than a twentieth; a process's start, an encoder's loading and a first compilation are in it.
WORKER = "mlctl.alignment.worker"
PATIENCE, PATIENCE_A_PAIR, PATIENCE_A_PAIR_ENCODED = 120.0, 0.02, 0.5

_MOST_FAILED = 20  # pairs of a part: with more, it is not the pairs
_REMEDIES = {
    "split": "if memory ran out, set align.workers lower; what is finished is kept by another run",
    "learn": "if memory ran out, set align.train_pairs or align.workers lower; else take another align.engine",
    "link": "if memory ran out, set align.workers or align.part_rows lower; else take another align.engine",
    "finish": "if memory ran out, set align.train_pairs lower; what is finished is kept by another run",
}


class ResilientWorker:
    """Has steps done by a worker, and takes a new one when that has ended."""

    def __init__(self, start_worker: Callable[[str], Worker]) -> None:
        """Take what starts a worker of a module."""
        self._start_worker = start_worker
        self._worker: Worker | None = None
        self._stopped = False

    def do(self, step: Step) -> None:
        """Do a step. What crashes or hangs is done once more; a part that does so again is aligned without the pairs at fault.

        Raises:
            InputError: the step failed for a reason that people can mend, or again and again.
            EndedError: the process was killed while it learned, or twice in another step than `link`.
        """
        if step.name == "link":
            self._link(step.language, step.part)
        elif error := self._fault(step):
            if step.name == "learn":  # it may have taken hours
                raise error
            _say_again(error)
            self._ask(step)

    def kill(self) -> None:
        """End the process at once; no other is taken."""
        self._stopped = True
        if self._worker:
            self._worker.kill()

    def close(self) -> None:
        """End the process and wait for its end."""
        if self._worker:
            self._worker.close()
            self._worker = None

    def _link(self, language: Language, part: int) -> None:
        pieces, failed = self._pieces(language, part, (0, language.size(part)), [])
        language.put_pieces(part, pieces, failed)

    def _pieces(self, language: Language, part: int, piece: Piece, failed: list[int]) -> tuple[list[Piece], list[int]]:
        """Align a range of rows, in halves where that fails; return the pieces aligned, and `failed` with the rows at fault."""
        first, last = piece
        step = Step(language=language, name="link", part=part, piece=piece)
        whole = last - first == language.size(part)
        error = self._fault(step)
        if error and (whole or last - first == 1):  # not for each half: what was no accident twice costs time
            _say_again(error)
            error = self._fault(step)
        if not error:
            return [piece], failed
        if first == last:
            raise error
        if last - first == 1:
            return [], self._failed(language, part, failed, first, error)
        middle = (first + last) // 2
        left, failed = self._pieces(language, part, (first, middle), failed)
        right, failed = self._pieces(language, part, (middle, last), failed)
        return [*left, *right], failed

    def _failed(self, language: Language, part: int, failed: list[int], row: int, error: Exception) -> list[int]:
        log.warning("%s; the pair is set aside: %s", _in_short(error), _name(language, part, row))
        if len(failed) == _MOST_FAILED:
            problem = f"{_in_short(error)}, and so for more than {_MOST_FAILED} pairs of one part"
            raise InputError(problem, "it is not the pairs: " + _REMEDIES["link"]) from error
        return [*failed, row]

    def _fault(self, step: Step) -> Exception | None:
        """Do a step; return how its process ended if it did."""
        try:
            self._ask(step)
        except (EndedError, RuntimeError) as error:
            if self._stopped:
                raise
            return error
        return None

    def _ask(self, step: Step) -> None:
        """Do a step, within its time."""
        worker = self._worker = self._worker or self._start_worker(WORKER)
        if self._stopped:
            worker.kill()
        try:
            worker.do(step.model_dump(mode="json"), _what(step), _REMEDIES[step.name], _seconds(step))
        except (EndedError, RuntimeError):
            self.close()
            raise


def _seconds(step: Step) -> float | None:
    if step.name != "link":
        return None
    pair = PATIENCE_A_PAIR_ENCODED if step.language.settings.engine in registry.WITH_ENCODER else PATIENCE_A_PAIR
    return PATIENCE + pair * (step.piece[1] - step.piece[0])


def _what(step: Step) -> str:
    what = f"word alignment of {step.language.target} ({step.language.settings.engine}, {step.name}"
    return f"{what}, part {step.part})" if step.name in {"split", "link"} else f"{what})"


def _say_again(error: Exception) -> None:
    log.warning("%s; once more", _in_short(error))


def _in_short(error: Exception) -> str:
    """Return what went wrong in a line: of a traceback the first and the last."""
    lines = (error.problem if isinstance(error, InputError) else str(error)).strip().splitlines()
    return " ".join(dict.fromkeys((lines[0], lines[-1])))


def _name(language: Language, part: int, row: int) -> str:
    found = pq.read_table(language.words_file(part), columns=["corpus", "origin"]).slice(row, 1).to_pylist()[0]
    return f"{found['origin']} of {found['corpus']}"
