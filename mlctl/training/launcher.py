"""Training in several processes of this machine, one a device: they are started, listened to and ended here.

The processes meet through a file and talk over the loopback interface: nothing listens to the network, unless other machines
take part.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any, cast

import torch

from mlctl.core.workspace import Progress
from mlctl.errors import InputError
from mlctl.execution.processes import ProcessDiedError, child_environment, error_from_exit, error_from_response
from mlctl.training.multinode import Share

_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
_GRACE = 5.0  # seconds in which others may still say why they ended: the first to fail is not always the one to blame
_REMEDY = (
    "where the system ran out of memory, lower train.devices, train.batch_size or train.micro_batch_size; run again: "
    "training goes on from the newest checkpoint"
)

Message = dict[str, Any] | None  # None: the process has ended


def launch(
    job: dict[str, Any], devices: Sequence[torch.device], progress: Progress, share: Share | None = None
) -> dict[str, Any]:
    """Train in a process for each device, and end them all whatever happens here; they end with this process, too.

    Args:
        job: of `Job.plain`.
        devices: what each process computes on.
        progress: told what the leading process tells.
        share: which processes of all these are, where other machines take part.

    Returns:
        what `mlctl.training.train` returns, as the first of these processes knows it.

    Raises:
        InputError: a process found something that people can mend, or a signal ended it.
        RuntimeError: a process failed for another reason; with what it wrote to standard error.
    """
    messages: SimpleQueue[tuple[int, Message]] = SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="mlctl-") as meeting, contextlib.ExitStack() as running:
        share = share or Share(0, len(devices), f"file://{Path(meeting, 'store')}", lambda: None)
        tasks = [_task(job, devices, number, share) for number in range(len(devices))]
        workers = [running.enter_context(contextlib.closing(_Worker(task, messages))) for task in tasks]
        result = _Supervisor(workers, messages, progress).result()
        share.end()
        return result


def _task(job: dict[str, Any], devices: Sequence[torch.device], number: int, share: Share) -> dict[str, Any]:
    of_all = {"rank": share.first + number, "size": share.size, "meeting": share.meeting}
    return {"job": job, "here": len(devices), "device": str(devices[number]), **of_all}


def _network(meeting: str) -> dict[str, str]:
    """Return the variables that keep processes of one machine to the loopback interface."""
    if meeting.startswith("tcp:") and not meeting.startswith("tcp://127."):
        return {}
    return {"GLOO_SOCKET_IFNAME": _LOOPBACK, "NCCL_SOCKET_IFNAME": _LOOPBACK}


class _Worker:
    """A process, and a thread that hands on what it says."""

    def __init__(self, task: dict[str, Any], messages: SimpleQueue[tuple[int, Message]]) -> None:
        self.rank, self.name = task["rank"], f"training process {task['rank']} of {task['size']} ({task['device']})"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process; a pipe nobody reads would fill up
        self._process = subprocess.Popen(
            (sys.executable, "-P", "-m", "mlctl.training.worker", str(os.getpid())),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**child_environment(), **_network(task["meeting"])},
        )
        self._listener = Thread(target=self._listen, args=(messages,), daemon=True)
        self._listener.start()
        with contextlib.suppress(BrokenPipeError):  # it died: the listener says so
            self._tell(task)

    def end(self) -> Exception:
        """Return why the process ended by itself."""
        return error_from_exit(self._process.wait(), self._errors, self.name, _REMEDY)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(BrokenPipeError):
                cast(IO[bytes], stream).close()

    def _tell(self, task: dict[str, Any]) -> None:
        jobs = cast(IO[bytes], self._process.stdin)
        jobs.write(json.dumps(task).encode() + b"\n")
        jobs.flush()

    def _listen(self, messages: SimpleQueue[tuple[int, Message]]) -> None:
        for line in cast(IO[bytes], self._process.stdout):
            with contextlib.suppress(ValueError):  # killed in the middle of a line
                messages.put((self.rank, json.loads(line)))
        messages.put((self.rank, None))


class _Supervisor:
    """Listens until all processes have ended, or one has failed."""

    def __init__(self, workers: Sequence[_Worker], messages: SimpleQueue[tuple[int, Message]], progress: Progress) -> None:
        self._workers = {worker.rank: worker for worker in workers}
        self._messages, self._progress = messages, progress
        self._results: dict[int, dict[str, Any]] = {}
        self._failures: dict[int, Exception] = {}
        self._deadline: float | None = None

    def result(self) -> dict[str, Any]:
        """Return the first process's result, or raise the error that is to blame."""
        with contextlib.suppress(Empty):
            while len(self._results) + len(self._failures) < len(self._workers):
                self._take(*self._next())
        if self._failures:
            raise min(self._failures.values(), key=_blame)  # the first to arrive of the most telling kind
        return self._results[min(self._results)]

    def _next(self) -> tuple[int, Message]:
        if self._deadline is None and self._failures:
            self._deadline = time.monotonic() + _GRACE
        return self._messages.get(timeout=None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0))

    def _take(self, rank: int, message: Message) -> None:
        if message is None:
            if rank not in self._failures and rank not in self._results:
                self._failures[rank] = self._workers[rank].end()
        elif "progress" in message:
            done, total, unit, figures = message["progress"]
            self._progress(done, total, unit, **figures)
        elif "log" in message:
            name, level, text = message["log"]
            logging.getLogger(name).log(level, "%s%s", f"{self._workers[rank].name}: " if rank else "", text)
        else:
            self._end(rank, message)

    def _end(self, rank: int, message: dict[str, Any]) -> None:
        error = error_from_response(message, "" if "problem" in message else self._workers[rank].name)
        if error:
            self._failures[rank] = error
        else:
            self._results[rank] = message["result"]


def _blame(error: Exception) -> int:
    """Order errors: what a process found, then what befell one, then what others make of its end."""
    if isinstance(error, ProcessDiedError):
        return 1
    return 0 if isinstance(error, (InputError, OSError)) else 2
