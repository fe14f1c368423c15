"""Programs that translate: started together, ended together, and never left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from mlctl.core.cpu import usable_cores
from mlctl.core.unicode_scripts import has_unspaced

#: Rule of a text on which an engine crashes or falls silent, also when it is asked again and alone.
FAILED = "engine failed"

# Reads until this process ends, however it ends, and then takes the whole process group with it. Unlike prctl's signal at the
# death of a parent it does not fire when a thread ends, and it reaches what the programs have started themselves.
_GUARD = ("/bin/sh", "-c", "while read -r line; do :; done; kill -s KILL 0")
_BREAKS = re.compile(r"[\0\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_TAIL = 2000


class Group:
    """Processes that end together: when `end` is called, and when this process dies."""

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
        """Kill what still runs, also what the programs have started themselves. Any thread may do it."""
        if self._guard.returncode is None:  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended
                os.killpg(self._guard.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill what still runs and close the pipes; for the thread that uses them."""
        self.kill()
        for process in (*self._members, self._guard):
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    with contextlib.suppress(OSError):  # what was not yet sent
                        pipe.close()


class Tail(threading.Thread):
    """Reads a pipe to its end, so that nobody waits to write there, and keeps the last of it."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe = pipe
        self._kept = b""
        self.start()

    def run(self) -> None:
        """Read to the end."""
        with self._pipe:
            while read := self._pipe.read1(65536):  # type: ignore[attr-defined]
                self._kept = (self._kept + read)[-_TAIL:]

    def text(self) -> str:
        """Return the last lines that are there a moment later."""
        self.join(1)
        return last_lines(self._kept)


def last_lines(errors: bytes) -> str:
    """Return the end of what a program wrote on standard error, to be shown in one line."""
    lines = errors[-_TAIL:].decode(errors="replace").split("\n")
    return " / ".join([line.strip() for line in lines if line.strip()][-3:]) or "it said nothing"


def ending(status: int) -> str:
    """Say in words how a process ended, by its exit status as Popen gives it."""
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"


def one_line(text: str) -> str:
    """Return the text with a space for everything that some program takes for the end of a line, and for NUL."""
    return _BREAKS.sub(" ", text).strip()


def words(text: str) -> int:
    """Count words by spaces; where words are not spaced, two characters are one."""
    return max(len(text.split()), len(text) // 2 if has_unspaced(text) else 0)


def side_by_side(workers: int) -> int:
    """Return how many processes to run at once: `workers`, or one a core where it is 0."""
    return workers or usable_cores()


def shown(text: str) -> str:
    """Return the beginning of a text for a message."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def is_there(path: str) -> bool:
    """Tell whether an argument names a file; arguments may be too long or odd for that."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False
