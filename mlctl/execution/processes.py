"""Child processes that run jobs one after another: a crash in a child is an error in the parent, not the end of the run.

A child is a module, run with `-m`, whose main function calls `serve_jobs`. Jobs and responses are lines of JSON.
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from mlctl.core.checksums import CheckedPath, recorded_commits
from mlctl.errors import DiskFullError, InputError

_PR_SET_PDEATHSIG = 1  # prctl(2)


class ProcessDiedError(InputError):
    """A signal ended a child process while it ran a job."""


#: The errors that keep their type on the way from a child, by name; the general one is the last.
_ERRORS: dict[str, type[InputError]] = {"ended": ProcessDiedError, "disk full": DiskFullError, "input": InputError}


class ChildProcess:
    """A process that waits for jobs. It ends when this process ends, in whatever way."""

    def __init__(self, module: str) -> None:
        """Start the process; it runs `module`."""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child lives; a pipe that is not read would fill up
        self._process = subprocess.Popen(
            (sys.executable, "-P", "-m", module, str(os.getpid())),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=child_environment(),
        )

    def start(self) -> None:
        """Do nothing: a job waits until the process has started."""

    def run(self, job: Any, description: str, remedy: str, timeout: float | None = None, reads: Sequence[Path] = ()) -> None:
        """Run a job and return when it is done; see `run_and_list`."""
        del reads  # they are on this machine
        self.run_and_list(job, description, remedy, timeout)

    def run_and_list(self, job: Any, description: str, remedy: str, timeout: float | None = None) -> list[CheckedPath]:
        """Run a job and return the parts that it has written, when it is done.

        Args:
            job: JSON.
            description: what the job does; error messages begin with it.
            remedy: what the user can do when a signal ends the process.
            timeout: seconds after which the process is killed; None: no limit.

        Raises:
            InputError: the job failed for a reason that the user can fix.
            ProcessDiedError: a signal ended the process, or the timeout did.
            OSError: a file could not be read or written.
            RuntimeError: any other error, with what the process wrote to standard error.
        """
        with self._kill_after(timeout):
            response = self._send(json.dumps(job).encode() + b"\n")
        if response is None:
            raise error_from_exit(self._process.wait(), self._stderr, description, remedy)
        if error := error_from_response(response, description):
            raise error
        return [CheckedPath(Path(path), Path(root)) for path, root in response["written"]]

    def kill(self) -> None:
        """Stop the process at once."""
        self._process.kill()

    def close(self) -> None:
        """Stop the process, which waits for a job or is dead, and wait for its end."""
        self._process.kill()
        self._process.communicate()
        self._stderr.close()

    @contextlib.contextmanager
    def _kill_after(self, seconds: float | None) -> Iterator[None]:
        """Kill the process if the block takes longer."""
        if seconds is None:
            yield
            return
        timer = threading.Timer(seconds, self.kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _send(self, line: bytes) -> dict[str, Any] | None:
        """Send a job and return the response; None if the process ended instead."""
        stdin, stdout = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        try:
            stdin.write(line)
            stdin.flush()
            response: dict[str, Any] | None = json.loads(stdout.readline() or "null")
        except BrokenPipeError:
            return None
        return response


def error_from_exit(status: int, stderr: IO[bytes], description: str, remedy: str) -> Exception:
    """Return the error of a process that ended by itself: the signal that ended it, or what it wrote to standard error."""
    if status < 0:
        return ProcessDiedError(f"{description}: its process was ended by {signal.Signals(-status).name}", remedy)
    stderr.seek(0)
    return RuntimeError(f"{description} failed:\n{stderr.read().decode(errors='replace').strip()}")


def error_from_response(response: dict[str, Any], description: str) -> Exception | None:
    """Return the error in a response of `run_job`, if there is one; its message begins with `description` (empty: with nothing)."""
    prefix = f"{description}: " if description else ""
    if "problem" in response:
        return _ERRORS[response["type"]](prefix + response["problem"], response["remedy"])
    if "errno" in response:
        return OSError(response["errno"], prefix + response["text"], response["file"])
    return None


def child_environment() -> dict[str, str]:
    """Return a child's environment: one thread each, because processes fill the cores and some sums depend on the number of threads."""
    package_root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "PYTHONUTF8": "1"}


def serve_jobs(function: Callable[[Any], None]) -> None:
    """In a child: call `function` with each job from standard input, and write each response to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to the parent, too, which ends this process
    die_with_parent(int(sys.argv[1]))
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as responses:
        os.dup2(2, 1)  # what libraries print is not a response
        for line in sys.stdin:
            responses.write(json.dumps(run_job(function, json.loads(line))) + "\n")
            responses.flush()


def run_job(function: Callable[[Any], object], job: Any) -> dict[str, Any]:
    """Call `function` with a job and return the response: the parts that it wrote (`written`), or an error that the user can fix."""
    try:
        with recorded_commits() as written:
            function(job)
    except (InputError, OSError) as error:
        return error_response(error)
    return {"written": [(str(part.path), str(part.root)) for part in written]}


def error_response(error: InputError | OSError) -> dict[str, Any]:
    """Return the response that stands for an error."""
    if isinstance(error, InputError):
        name = next(name for name, error_type in _ERRORS.items() if isinstance(error, error_type))
        return {"problem": error.problem, "remedy": error.remedy, "type": name}
    return {"errno": error.errno, "text": error.strerror or str(error), "file": error.filename and str(error.filename)}


def die_with_parent(parent: int) -> None:
    """Have the kernel (Linux) kill this process when its parent dies, so that a killed run leaves no processes behind."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the call
        os.kill(os.getpid(), signal.SIGKILL)
