"""Apertium's programs as a pipeline that stays up: many texts are under way at once, the answers come in their order."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

from mlctl.translation.process_group import Group, Tail, ending

_PIECE = 65536
_GLANCE = 0.2  # seconds between looks at whether all programs are alive
# How a program ends whose neighbour in the pipeline has died: for want of input, or of somebody to write to.
_IN_SEQUENCE = (None, 0, -signal.SIGPIPE)


class Pipeline:
    """Programs connected by pipes. One that did not give all answers must be closed: it is out of step."""

    def __init__(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str], patience: float) -> None:
        self._patience = patience
        self._group = Group()
        self._statuses: list[int | None] = []
        self._ran_dry = False
        reading, errors = os.pipe()
        self._tail = Tail(os.fdopen(reading, "rb"))
        try:
            self._programs = self._connected(commands, environment, errors)
        except BaseException:
            self._group.end()
            raise
        finally:
            os.close(errors)

    @property
    def pids(self) -> list[int]:
        """Process ids of the programs, first to last."""
        return self._group.pids

    def ask(self, texts: Sequence[str]) -> list[str]:
        """Send texts in Apertium's stream format; return the answers, or those that came before something went wrong.

        Every text ends with a blank that bears its number. A program whose input ends too early still ends what it has begun, so
        an answer without that blank is none.
        """
        ends = [f"[][\n{number}]" for number in range(len(texts))]
        found = []
        for answer, end in zip(self._exchange([*map("".join, zip(texts, ends, strict=True))]), ends, strict=False):
            if not answer.endswith(end):
                break
            found.append(answer.removesuffix(end))
        return found

    def kill(self) -> None:
        """Have whoever waits for an answer in another thread wait no longer; closing is left to them."""
        self._group.kill()

    def close(self) -> None:
        """End the programs."""
        # A program closes its output a moment before its end can be seen.
        end = time.monotonic() + _GLANCE
        while self._ran_dry and not self._has_dead() and time.monotonic() < end:
            time.sleep(0.01)
        self._statuses = [program.poll() for program in self._programs]
        self._group.end()

    def fault(self) -> str:
        """Say what went wrong in a pipeline that failed and was closed."""
        names = [str(program.args[0]) for program in self._programs]  # type: ignore[index]
        ends = [
            f"{name} {ending(status)}" for name, status in zip(names, self._statuses, strict=True) if status not in _IN_SEQUENCE
        ]
        if not any(status is not None for status in self._statuses):
            ends = [f"no answer within {self._patience:g} s"]
        return "; ".join([*ends, f"standard error: {self._tail.text()}"])

    def _connected(
        self, commands: Sequence[Sequence[str]], environment: Mapping[str, str], errors: int
    ) -> list[subprocess.Popen[bytes]]:
        programs: list[subprocess.Popen[bytes]] = []
        source: IO[bytes] | None = None
        for command in commands:
            stdin = subprocess.PIPE if source is None else source
            programs.append(self._group.start(command, stdin=stdin, stdout=subprocess.PIPE, stderr=errors, env=environment))
            if source is not None:
                source.close()  # else the program before would not be told when this one dies
            source = programs[-1].stdout
        return programs

    def _exchange(self, messages: Sequence[str]) -> list[str]:
        """Write in a thread and read here, for a pipeline that cannot write does not read."""
        writer = threading.Thread(target=self._write, args=(messages,), daemon=True)
        writer.start()
        answers = self._read(len(messages))
        if len(answers) == len(messages):
            writer.join()
        return answers

    def _write(self, messages: Sequence[str]) -> None:
        sink = self._programs[0].stdin
        assert sink  # noqa: S101 - it is a pipe
        with contextlib.suppress(OSError, ValueError):  # the reader sees that the pipeline is dead or closed
            for message in messages:
                sink.write(message.encode() + b"\0")
            sink.flush()

    def _read(self, number: int) -> list[str]:
        """Read answers until all are there or nothing more is to come."""
        source = self._programs[-1].stdout
        assert source  # noqa: S101 - it is a pipe
        answers: list[str] = []
        rest, deadline = b"", time.monotonic() + self._patience
        with selectors.DefaultSelector() as selector:
            selector.register(source, selectors.EVENT_READ)
            while len(answers) < number and time.monotonic() < deadline:
                if not selector.select(_GLANCE):
                    if self._has_dead():
                        break
                    continue
                if not (read := os.read(source.fileno(), _PIECE)):
                    self._ran_dry = True
                    break
                *whole, rest = (rest + read).split(b"\0")
                answers += [answer.decode(errors="replace") for answer in whole]
                deadline = time.monotonic() + self._patience if whole else deadline
        return answers

    def _has_dead(self) -> bool:
        """Tell whether a program has died. The others need not notice: apertium-transfer reads a broken end for ever."""
        return any(program.poll() is not None for program in self._programs)
