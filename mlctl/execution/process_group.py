"""Programs as one process group, which ends when it is closed or this process dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from typing import IO, Any

# The guard reads until this process ends, in whatever way, and then kills its process group. Unlike prctl's parent-death signal it does
# not fire when a thread ends, and it also reaches the children of the programs.
_GUARD = ("/bin/sh", "-c", "while read -r line; do :; done; kill -s KILL 0")
_TAIL_BYTES = 2000
_TAIL_LINES = 3


class ProcessGroup:
    """Processes that are killed together, by `close` or when this process dies."""

    def __init__(self) -> None:
        self._guard = subprocess.Popen(
            _GUARD, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        )
        self._members: list[subprocess.Popen[bytes]] = []

    def start(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a program; `options` are those of Popen.

        Raises:
            OSError: it cannot be started.
        """
        process = subprocess.Popen(arguments, process_group=self._guard.pid, **options)
        self._members.append(process)
        return process

    @property
    def pids(self) -> list[int]:
        """Process ids of the programs, in the order in which they were started."""
        return [process.pid for process in self._members]

    def kill(self) -> None:
        """Kill the programs and their children. Thread-safe."""
        if self._guard.returncode is None:  # else its pid may have been reused
            with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended
                os.killpg(self._guard.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill the programs and close the pipes; only the thread that uses the pipes may call it."""
        self.kill()
        for process in (*self._members, self._guard):
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    with contextlib.suppress(OSError):  # unsent data
                        pipe.close()


class OutputTail(threading.Thread):
    """Reads a pipe to its end, so that its writers never block, and keeps the last bytes."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._tail = b""
        self.start()

    def run(self) -> None:
        """Read to the end."""
        with self._pipe:
            while chunk := self._pipe.read1(65536):  # type: ignore[attr-defined]
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]

    def text(self) -> str:
        """Return the last lines; wait up to a second for the end of the pipe."""
        self.join(1)
        return last_lines(self._tail)


def last_lines(output: bytes) -> str:
    """Return the last lines of a program's standard error, joined into one line for messages."""
    lines = output[-_TAIL_BYTES:].decode(errors="replace").split("\n")
    return " / ".join([line.strip() for line in lines if line.strip()][-_TAIL_LINES:]) or "empty"


def describe_exit(status: int) -> str:
    """Return how a process ended, from its exit status as Popen returns it."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
