"""Child processes that do jobs one after another: a crash in one is an error message here, not the end of the run.

A child is a module of this package, run with `-m`, whose main function calls `serve`. Jobs and answers are lines of JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import mlctl
from mlctl.errors import InputError

_PR_SET_PDEATHSIG = 1  # prctl(2)


class EndedError(InputError):
    """A signal ended a child in the middle of a job."""


class ChildProcess:
    """A process that waits for jobs. It ends with this process, however that ends."""

    def __init__(self, module: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child lives; a pipe nobody reads would fill up
        self._process = subprocess.Popen(
            (sys.executable, "-P", "-m", module, str(os.getpid())),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(),
        )

    def do(self, job: Any, what: str, remedy: str, seconds: float | None = None) -> None:
        """Have a job (JSON) done. `what` names it in errors; `remedy` is for a process that a signal ended.

        Raises:
            InputError: the job failed for a reason that people can mend.
            EndedError: a signal ended the process, or it took more than `seconds`.
            OSError: a file could not be read or written.
            RuntimeError: anything else, with what the process wrote to standard error.
        """
        with self._ended_after(seconds):
            answer = self._ask(json.dumps(job).encode() + b"\n")
        if answer is None:
            raise self._crash(what, remedy)
        error = failure(answer, what)
        if error:
            raise error

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def close(self) -> None:
        """End the process (it waits for a job, or is dead) and wait for its end."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    @contextlib.contextmanager
    def _ended_after(self, seconds: float | None) -> Iterator[None]:
        """Kill the process when the block takes longer."""
        if seconds is None:
            yield
            return
        clock = threading.Timer(seconds, self.kill)
        clock.daemon = True
        clock.start()
        try:
            yield
        finally:
            clock.cancel()

    def _ask(self, line: bytes) -> dict[str, Any] | None:
        """Return the answer; None when the process ended instead."""
        jobs, answers = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        try:
            jobs.write(line)
            jobs.flush()
            answer: dict[str, Any] | None = json.loads(answers.readline() or "null")
        except BrokenPipeError:
            return None
        return answer

    def _crash(self, what: str, remedy: str) -> Exception:
        return ended(self._process.wait(), self._errors, what, remedy)


def ended(status: int, errors: IO[bytes], what: str, remedy: str) -> Exception:
    """Return the error of a process that ended by itself: which signal it was, or what it wrote to standard error."""
    if status < 0:
        return EndedError(f"{what}: its process was ended by {signal.Signals(-status).name}", remedy)
    errors.seek(0)
    return RuntimeError(f"{what} failed:\n{errors.read().decode(errors='replace').strip()}")


def failure(answer: dict[str, Any], what: str) -> Exception | None:
    """Return the error that an answer of `done` tells of, if it does; `what` (empty: nothing) goes before what it says."""
    before = f"{what}: " if what else ""
    if "problem" in answer:
        kind = EndedError if answer.get("ended") else InputError
        return kind(before + answer["problem"], answer["remedy"])
    if "errno" in answer:
        return OSError(answer["errno"], before + answer["text"], answer["file"])
    return None


def environment() -> dict[str, str]:
    """Return a child's environment: one thread each, since processes fill the cores and some sums depend on the number."""
    home = str(Path(mlctl.__file__).parents[1])
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "PYTHONUTF8": "1"}


def serve(do: Callable[[Any], None]) -> None:
    """In a child: do each job on standard input, and answer each by a line that says what went wrong, if anything did."""
    die_with(int(sys.argv[1]))
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # what libraries print is no answer
        for line in sys.stdin:
            answers.write(json.dumps(done(do, json.loads(line))) + "\n")
            answers.flush()


def done(do: Callable[[Any], None], job: Any) -> dict[str, Any]:
    """Do a job; return what went wrong, as JSON, where it is something that people can mend."""
    try:
        do(job)
    except InputError as error:
        return {"problem": error.problem, "remedy": error.remedy, "ended": isinstance(error, EndedError)}
    except OSError as error:
        return {"errno": error.errno, "text": error.strerror or str(error), "file": error.filename and str(error.filename)}
    return {}


def die_with(parent: int) -> None:
    """Have the kernel (Linux) kill this process when its parent dies, so that a killed run leaves nothing behind."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os.kill(os.getpid(), signal.SIGKILL)
