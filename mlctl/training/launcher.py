"""Training in several processes of this machine, one per device: starts them, reads their messages, and ends them.

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
from mlctl.training.distributed import NodeAssignment
from mlctl.training.interruption import TrainingInterrupted, stopping_on_sigterm

_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
_GRACE_SECONDS = 5.0  # for other processes to report why they ended: the first to fail is not always the cause
_REMEDY = (
    "where the system ran out of memory, lower train.devices, train.batch_size or train.micro_batch_tokens; run again: "
    "training resumes from the newest checkpoint"
)

Message = dict[str, Any] | None  # None: the process has ended


def launch(
    job: dict[str, Any], devices: Sequence[torch.device], progress: Progress, assignment: NodeAssignment | None = None
) -> dict[str, Any]:
    """Train in one process per device. The processes end when this call does, however it ends, and with this process.

    Args:
        job: of `Job.to_json`.
        devices: the device of each process.
        progress: receives the progress of the main process.
        assignment: the ranks of these processes, where other machines take part.

    Returns:
        The result of `mlctl.training.train`, from the first of these processes.

    Raises:
        InputError: a process found an error that the user can fix, or was ended by a signal.
        RuntimeError: a process failed for another reason; the message holds its standard error.
        TrainingInterrupted: SIGTERM arrived in one of the processes or in this one; the checkpoint is saved.
    """
    messages: SimpleQueue[tuple[int, Message]] = SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="mlctl-") as folder, contextlib.ExitStack() as stack:
        assignment = assignment or NodeAssignment(0, len(devices), f"file://{Path(folder, 'store')}", lambda: None)
        tasks = [_task(job, devices, local_rank, assignment) for local_rank in range(len(devices))]
        workers = [stack.enter_context(contextlib.closing(_WorkerProcess(task, messages))) for task in tasks]
        with stopping_on_sigterm() as stop:
            stop.forward_to(lambda: _terminate(workers))
            result = _Supervisor(workers, messages, progress).result()
        assignment.finish()
        return result


def _terminate(workers: Sequence[_WorkerProcess]) -> None:
    for worker in workers:
        worker.terminate()


def _task(job: dict[str, Any], devices: Sequence[torch.device], local_rank: int, assignment: NodeAssignment) -> dict[str, Any]:
    return {
        "job": job,
        "device": str(devices[local_rank]),
        "rank": assignment.first_rank + local_rank,
        "size": assignment.world_size,
        "local_size": len(devices),
        "init_method": assignment.init_method,
    }


def _network_environment(init_method: str) -> dict[str, str]:
    """Return the variables that keep processes of one machine to the loopback interface."""
    if init_method.startswith("tcp:") and not init_method.startswith("tcp://127."):
        return {}
    return {"GLOO_SOCKET_IFNAME": _LOOPBACK, "NCCL_SOCKET_IFNAME": _LOOPBACK}


class _WorkerProcess:
    """A training process, and a thread that reads its messages."""

    def __init__(self, task: dict[str, Any], messages: SimpleQueue[tuple[int, Message]]) -> None:
        self.rank, self.name = task["rank"], f"training process {task['rank']} of {task['size']} ({task['device']})"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process; an unread pipe would fill up
        self._process = subprocess.Popen(
            (sys.executable, "-P", "-m", "mlctl.training.worker", str(os.getpid())),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**child_environment(), **_network_environment(task["init_method"])},
        )
        self._reader = Thread(target=self._read, args=(messages,), daemon=True)
        self._reader.start()
        with contextlib.suppress(BrokenPipeError):  # it died: the reader reports it
            self._send(task)

    def exit_error(self) -> Exception:
        """Return why the process ended by itself."""
        return error_from_exit(self._process.wait(), self._errors, self.name, _REMEDY)

    def terminate(self) -> None:
        """Ask the process to stop after the running step."""
        self._process.terminate()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(BrokenPipeError):
                cast(IO[bytes], stream).close()

    def _send(self, task: dict[str, Any]) -> None:
        stdin = cast(IO[bytes], self._process.stdin)
        stdin.write(json.dumps(task).encode() + b"\n")
        stdin.flush()

    def _read(self, messages: SimpleQueue[tuple[int, Message]]) -> None:
        for line in cast(IO[bytes], self._process.stdout):
            with contextlib.suppress(ValueError):  # killed in the middle of a line
                messages.put((self.rank, json.loads(line)))
        messages.put((self.rank, None))


class _Supervisor:
    """Handles messages until all processes have ended, or one has failed."""

    def __init__(self, workers: Sequence[_WorkerProcess], messages: SimpleQueue[tuple[int, Message]], progress: Progress) -> None:
        self._workers = {worker.rank: worker for worker in workers}
        self._messages, self._progress = messages, progress
        self._results: dict[int, dict[str, Any]] = {}
        self._failures: dict[int, Exception] = {}
        self._interrupted: tuple[int, int] | None = None  # steps done, and all
        self._deadline: float | None = None

    def result(self) -> dict[str, Any]:
        """Return the first process's result, or raise the error that is the cause of the failure."""
        with contextlib.suppress(Empty):
            while len(self._results) + len(self._failures) < len(self._workers):
                self._handle(*self._next())
        if self._interrupted and not self._failures:
            raise TrainingInterrupted(*self._interrupted)
        if self._failures:
            raise min(self._failures.values(), key=_cause_rank)  # the first to arrive of the most likely kind
        return self._results[min(self._results)]

    def _next(self) -> tuple[int, Message]:
        if self._deadline is None and self._failures:
            self._deadline = time.monotonic() + _GRACE_SECONDS
        return self._messages.get(timeout=None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0))

    def _handle(self, rank: int, message: Message) -> None:
        if message is None:
            if rank not in self._failures and rank not in self._results:
                self._failures[rank] = self._workers[rank].exit_error()
        elif "progress" in message:
            done, total, unit, figures = message["progress"]
            self._progress(done, total, unit, **figures)
        elif "log" in message:
            name, level, text = message["log"]
            logging.getLogger(name).log(level, "%s%s", f"{self._workers[rank].name}: " if rank else "", text)
        else:
            self._finish(rank, message)

    def _finish(self, rank: int, message: dict[str, Any]) -> None:
        if "interrupted" in message:
            done, steps = message["interrupted"]
            self._interrupted, self._results[rank] = (done, steps), message
            return
        error = error_from_response(message, "" if "problem" in message else self._workers[rank].name)
        if error:
            self._failures[rank] = error
        else:
            self._results[rank] = message["result"]


def _cause_rank(error: Exception) -> int:
    """Order errors by how likely they are the cause: reported by a process, a signal, a consequence of another process's end."""
    if isinstance(error, ProcessDiedError):
        return 1
    return 0 if isinstance(error, (InputError, OSError)) else 2
