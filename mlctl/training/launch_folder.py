"""The folder that a launcher shares with its training processes: the job, and a named pipe for the messages of each process.

Messages are lines of JSON: `started`, `progress`, `log`, and the outcome at the end. A process that is started again continues in the
pipe of the one that was lost.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import IO, Any

import torch

from mlctl.training.process_failures import LAUNCH_FOLDER

_AGENT = "MLCTL_AGENT_PROCESS"


class LaunchFolder:
    """The folder, as its processes see it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder

    @classmethod
    def from_environment(cls) -> LaunchFolder | None:
        """Return the folder of the launcher that started this process; None: none did."""
        folder = os.environ.get(LAUNCH_FOLDER)
        return cls(Path(folder)) if folder else None

    @staticmethod
    def agent_process() -> int | None:
        """Return the id of the launcher's torchrun agent, the parent of this process."""
        process = os.environ.get(_AGENT)
        return int(process) if process else None

    def environment(self) -> dict[str, str]:
        """Return the variables by which processes find this folder."""
        return {LAUNCH_FOLDER: str(self.path)}

    def set_agent(self) -> None:
        """Make this process the one that `agent_process` returns in its children."""
        os.environ[_AGENT] = str(os.getpid())

    def write_job(self, job: dict[str, Any], devices: Sequence[torch.device]) -> None:
        """Write what `job` reads."""
        content = {"job": job, "devices": [str(device) for device in devices]}
        (self.path / "job.json").write_text(json.dumps(content), encoding="utf-8")

    def job(self, local_rank: int) -> tuple[dict[str, Any] | None, torch.device]:
        """Return the job, for the main process alone, and the device of a process."""
        content = json.loads((self.path / "job.json").read_text(encoding="utf-8"))
        return None if local_rank else content["job"], torch.device(content["devices"][local_rank])

    def pipe(self, local_rank: int) -> Path:
        """The named pipe of a process."""
        return self.path / f"messages-{local_rank}"

    @contextlib.contextmanager
    def writer(self, local_rank: int) -> Iterator[MessageWriter]:
        """Open the pipe of a process for writing."""
        with self.pipe(local_rank).open("w", encoding="utf-8") as stream:
            stream.write("\n")  # ends the line in which the process before was killed
            yield MessageWriter(stream)


class MessageWriter(logging.Handler):
    """Sends messages to the launcher, from any thread."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream, self._line_lock = stream, Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message."""
        with self._line_lock:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Send a log record."""
        self.send({"log": [record.name, record.levelno, record.getMessage()]})


class MessageReader:
    """Reads the messages of all processes, in threads of its own.

    Args:
        folder: where the pipes are made.
        processes: number of processes.
        messages: receives each message with the local rank of its process.
    """

    def __init__(self, folder: LaunchFolder, processes: int, messages: SimpleQueue[tuple[int, dict[str, Any]]]) -> None:
        self._own_ends: list[int] = []
        self._threads: list[Thread] = []
        for local_rank in range(processes):
            path = folder.pipe(local_rank)
            os.mkfifo(path, 0o600)
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            self._own_ends.append(os.open(path, os.O_WRONLY))  # the pipe does not end while a process is started again
            os.set_blocking(reader, True)
            self._threads.append(Thread(target=_read, args=(reader, local_rank, messages), daemon=True))
            self._threads[-1].start()

    def drain(self, seconds: float = 60.0) -> None:
        """Read what is left, until all processes have ended."""
        while self._own_ends:
            os.close(self._own_ends.pop())
        for thread in self._threads:
            thread.join(seconds)


def _read(reader: int, local_rank: int, messages: SimpleQueue[tuple[int, dict[str, Any]]]) -> None:
    with os.fdopen(reader, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            with contextlib.suppress(ValueError):  # empty, or the process was killed in the middle of it
                messages.put((local_rank, json.loads(line)))
