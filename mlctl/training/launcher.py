"""Training in several processes of this machine, one per device, under torchrun's agent; other machines may take part.

The agent (`agent`) starts the processes, and starts all of them again when one is lost; they go on from the newest checkpoint. This module
starts the agent, handles the messages of the processes (`launch_folder`), and ends all of them when the training is over or has failed.
Where one machine trains alone, its processes meet through a file and talk over the loopback interface: nothing listens to the network.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import psutil
import torch

from mlctl.core.workspace import Progress
from mlctl.errors import InputError
from mlctl.execution.processes import child_environment, error_from_exit, error_from_response
from mlctl.training.agent import read_errors, read_failures
from mlctl.training.interruption import TrainingInterrupted, stopping_on_sigterm
from mlctl.training.launch_folder import LaunchFolder, MessageReader
from mlctl.training.process_failures import error_from_failure, lost_process_error

_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
_MAX_RESTARTS = 3  # of the processes, after the loss of one
_AGENT_ENDED = -1  # in the place of a local rank
_EXIT_SECONDS = 10.0  # for the other machines to read what this one sent them last
_REJOIN_SECONDS = 600.0  # for a lost machine to join again
_REMEDY = (
    "where the system ran out of memory, lower train.devices, train.batch_size or train.micro_batch_tokens; run again: "
    "training resumes from the newest checkpoint"
)

Messages = SimpleQueue[tuple[int, dict[str, Any]]]

_log = logging.getLogger(__name__)


def launch(
    job: dict[str, Any], devices: Sequence[torch.device], progress: Progress, nodes: int = 1, rendezvous: str = ""
) -> dict[str, Any]:
    """Train in one process per device. The processes end when this call does, however it ends, and with this process.

    Args:
        job: of `Job.to_json`.
        devices: the device of each process of this machine.
        progress: receives the progress of the main process; after the loss of a process it goes on from the newest checkpoint.
        nodes: number of machines.
        rendezvous: host:port of this machine where the others join, if there are any.

    Returns:
        The result of `mlctl.training.train`.

    Raises:
        InputError: a process found an error that the user can fix, processes were ended by signals again and again, another machine was
            lost, or nothing can listen at the address.
        RuntimeError: a process failed for another reason; the message holds its traceback.
        TrainingInterrupted: SIGTERM arrived in one of the processes or in this one; the checkpoint is saved.
    """
    if nodes > 1:
        _check_address(rendezvous)
        _log.info("waiting for %d more machines to join at %s", nodes - 1, rendezvous)
    messages: Messages = SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="mlctl-", ignore_cleanup_errors=True) as path:
        folder = LaunchFolder(Path(path))
        folder.write_job(job, devices)
        reader = MessageReader(folder, len(devices), messages)
        agent = _Agent(folder, len(devices), nodes, rendezvous, reader, messages)
        with contextlib.closing(agent), stopping_on_sigterm() as stop:
            stop.forward_to(agent.terminate)
            return _Supervisor(agent, folder, devices, nodes, job["settings"]["steps"], progress, messages).result()


def _check_address(rendezvous: str) -> None:
    hostname, _, port = rendezvous.rpartition(":")
    try:
        socket.create_server((hostname.strip("[]"), int(port))).close()
    except OSError as error:
        remedy = "name an address of this machine that the others can reach, and a free port"
        raise InputError(f"train.rendezvous: cannot listen at {rendezvous} ({error.strerror})", remedy) from None


class _Agent:
    """torchrun's agent in a process group of its own, so that it receives SIGTERM once."""

    name = "torchrun's agent"

    def __init__(
        self, folder: LaunchFolder, processes: int, nodes: int, rendezvous: str, reader: MessageReader, messages: Messages
    ) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process; an unread pipe would fill up
        self._reader, self._messages, self._is_terminated = reader, messages, False
        loopback = nodes == 1 or rendezvous.startswith("127.")
        interfaces = {"GLOO_SOCKET_IFNAME": _LOOPBACK, "NCCL_SOCKET_IFNAME": _LOOPBACK} if loopback else {}
        self._process = subprocess.Popen(
            (sys.executable, "-m", "mlctl.training.agent", *map(str, (os.getpid(), processes, _MAX_RESTARTS, nodes, rendezvous))),
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
            env={**child_environment(), **interfaces, **folder.environment(), "PYTHONSAFEPATH": "1"},
            process_group=0,
        )
        self._waiter = Thread(target=self._wait, daemon=True)
        self._waiter.start()

    def terminate(self) -> None:
        """Ask the processes to stop after the running step."""
        if not self._is_terminated:
            self._is_terminated = True
            self._process.terminate()

    @property
    def is_terminated(self) -> bool:
        """Whether `terminate` was called."""
        return self._is_terminated

    def exit_error(self) -> Exception:
        """Return why the agent ended by itself."""
        return error_from_exit(self._process.wait(), self._errors, self.name, _REMEDY)

    def close(self) -> None:
        """End the agent and its children."""
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._waiter.join()
        self._errors.close()

    def _family(self) -> list[psutil.Process]:
        """Return the agent and its children; the kernel ends them with it on Linux alone."""
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children()]
        except psutil.NoSuchProcess:
            return []

    def _wait(self) -> None:
        self._process.wait()
        self._reader.drain()
        self._messages.put((_AGENT_ENDED, {}))


class _Supervisor:
    """Handles messages until the training is over or has failed."""

    def __init__(
        self,
        agent: _Agent,
        folder: LaunchFolder,
        devices: Sequence[torch.device],
        nodes: int,
        steps: int,
        progress: Progress,
        messages: Messages,
    ) -> None:
        self._agent, self._folder, self._devices, self._nodes = agent, folder, devices, nodes
        self._progress, self._messages = progress, messages
        self._size, self._starts, self._steps = len(devices), 0, (0, steps)  # steps done, and all
        self._lost: dict[int, str] = {}  # by local rank: what a process wrote that lost another one
        self._rejoin_deadline: float | None = None

    def result(self) -> dict[str, Any]:
        """Return the main process's result, or raise the error that is the cause of the failure."""
        for local_rank, message in self._each_message():
            if local_rank == _AGENT_ENDED:
                raise self._exit_error()
            if error := self._error(local_rank, message):
                raise error
            if local_rank == 0 and ("result" in message or "interrupted" in message):
                self._wait_for_exit()
                if "interrupted" in message:
                    raise TrainingInterrupted(*message["interrupted"])
                result: dict[str, Any] = message["result"]
                return result
            self._handle(local_rank, message)
        raise InputError(
            "another machine of the training was lost",
            f"it has not joined again within {_REJOIN_SECONDS:.0f} s: start torchrun there and run again",
        )

    def _each_message(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield messages, until a lost machine has not joined again in time."""
        while True:
            timeout = None if self._rejoin_deadline is None else max(self._rejoin_deadline - time.monotonic(), 0.0)
            try:
                yield self._messages.get(timeout=timeout)
            except Empty:
                return

    def _wait_for_exit(self) -> None:
        deadline = time.monotonic() + _EXIT_SECONDS
        with contextlib.suppress(Empty):
            while self._nodes > 1 and self._messages.get(timeout=max(deadline - time.monotonic(), 0.0))[0] != _AGENT_ENDED:
                pass

    def _error(self, local_rank: int, message: dict[str, Any]) -> Exception | None:
        if "failed" in message:
            return RuntimeError(f"{self._name(local_rank)} failed:\n{message['failed']}")
        if "problem" in message:
            return error_from_failure(message)
        return error_from_response(message, self._name(local_rank))

    def _handle(self, local_rank: int, message: dict[str, Any]) -> None:
        if "progress" in message:
            done, total, unit, figures = message["progress"]
            self._steps = done, self._steps[1]
            self._progress(done, total, unit, **figures)
        elif "log" in message:
            name, level, text = message["log"]
            logging.getLogger(name).log(level, "%s%s", f"{self._name(local_rank)}: " if local_rank else "", text)
        elif "lost" in message:
            self._lost[local_rank] = message["lost"]
            if self._nodes > 1:
                self._rejoin_deadline = time.monotonic() + _REJOIN_SECONDS
        elif "started" in message and local_rank == 0:
            self._count_start(message["started"])

    def _count_start(self, size: int) -> None:
        self._size, self._rejoin_deadline = size, None
        if self._starts:
            names = [self._name(rank) for rank in range(len(self._devices)) if rank not in self._lost] if self._lost else []
            _log.warning(
                "%s lost: all processes were started again (%d of %d times), training goes on from the newest checkpoint",
                " and ".join(names) + " was" if names else "a training process was",
                self._starts,
                _MAX_RESTARTS,
            )
        self._starts += 1
        self._lost.clear()

    def _exit_error(self) -> Exception:
        """Return why the agent gave up."""
        if self._agent.is_terminated:
            return TrainingInterrupted(*self._steps)
        failures = read_failures(self._folder)
        signals = [failure for failure in failures if failure.status < 0 and failure.status != -signal.SIGTERM]
        for local_rank, status in signals:  # the first one
            return error_from_exit(status, tempfile.TemporaryFile(), self._name(local_rank), _REMEDY)
        for local_rank, _ in failures:
            text = self._lost.get(local_rank) or read_errors(self._folder, local_rank)
            lost = lost_process_error(text) if self._nodes > 1 else None
            return lost or RuntimeError(f"{self._name(local_rank)} failed:\n{text}")
        error = self._agent.exit_error()
        if self._nodes > 1 and self._starts and not isinstance(error, InputError):
            return InputError("another machine of the training was lost", "check its log, start torchrun there and run again")
        return error

    def _name(self, local_rank: int) -> str:
        return f"training process {local_rank} of {self._size} ({self._devices[local_rank]})"
