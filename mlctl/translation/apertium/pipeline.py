"""Apertium's programs as a running pipeline: many texts are in it at once, and the outputs come in their order."""

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

from mlctl.execution.process_group import OutputTail, ProcessGroup, describe_exit

_READ_BYTES = 65536
_POLL_SECONDS = 0.2  # between checks that all programs are running
# Exit statuses of a program whose neighbour in the pipeline has died: its input ended, or nobody reads its output.
_CONSEQUENCES = (None, 0, -signal.SIGPIPE)


class Pipeline:
    """Programs connected by pipes. A pipeline that did not return all outputs is out of step and must be closed."""

    def __init__(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str], timeout: float) -> None:
        """Start the programs; `timeout` is the seconds that one text may take.

        Raises:
            OSError: a program cannot be started.
        """
        self._timeout = timeout
        self._group = ProcessGroup()
        self._statuses: list[int | None] = []
        self._output_ended = False
        read_end, write_end = os.pipe()
        self._stderr = OutputTail(os.fdopen(read_end, "rb"))
        try:
            self._programs = self._start(commands, environment, write_end)
        except BaseException:
            self._group.close()
            raise
        finally:
            os.close(write_end)

    @property
    def pids(self) -> list[int]:
        """Process ids of the programs, first to last."""
        return self._group.pids

    def process(self, texts: Sequence[str]) -> list[str]:
        """Send texts in Apertium's stream format; return their outputs, or the first ones if a program fails.

        Each text ends with a blank that has its number. A program whose input ends too early still completes the text that it has
        begun, so that an output without that blank is discarded.
        """
        ends = [f"[][\n{number}]" for number in range(len(texts))]
        outputs = []
        for output, end in zip(self._exchange([*map("".join, zip(texts, ends, strict=True))]), ends, strict=False):
            if not output.endswith(end):
                break
            outputs.append(output.removesuffix(end))
        return outputs

    def kill(self) -> None:
        """Kill the programs, so that `process` returns in the thread that called it; that thread closes the pipeline. Thread-safe."""
        self._group.kill()

    def close(self) -> None:
        """Kill the programs and close the pipes."""
        # A program closes its output a moment before its exit status is available.
        deadline = time.monotonic() + _POLL_SECONDS
        while self._output_ended and not self._has_dead() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._statuses = [program.poll() for program in self._programs]
        self._group.close()

    def describe_failure(self) -> str:
        """Return what went wrong in a pipeline that failed and was closed."""
        names = [str(program.args[0]) for program in self._programs]  # type: ignore[index]
        statuses = zip(names, self._statuses, strict=True)
        causes = [
            f"{name} {describe_exit(status)}" for name, status in statuses if status is not None and status not in _CONSEQUENCES
        ]
        if not any(status is not None for status in self._statuses):
            causes = [f"no output within {self._timeout:g} s"]
        return "; ".join([*causes, f"standard error: {self._stderr.text()}"])

    def _start(
        self, commands: Sequence[Sequence[str]], environment: Mapping[str, str], stderr: int
    ) -> list[subprocess.Popen[bytes]]:
        programs: list[subprocess.Popen[bytes]] = []
        previous: IO[bytes] | None = None
        for command in commands:
            stdin = subprocess.PIPE if previous is None else previous
            programs.append(self._group.start(command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, env=environment))
            if previous is not None:
                previous.close()  # else the previous program would get no SIGPIPE when this one dies
            previous = programs[-1].stdout
        return programs

    def _exchange(self, messages: Sequence[str]) -> list[str]:
        """Write in another thread while this one reads: a program that cannot write its output stops reading its input."""
        writer = threading.Thread(target=self._write, args=(messages,), daemon=True)
        writer.start()
        outputs = self._read(len(messages))
        if len(outputs) == len(messages):
            writer.join()
        return outputs

    def _write(self, messages: Sequence[str]) -> None:
        stdin = self._programs[0].stdin
        assert stdin  # noqa: S101 - it is a pipe
        with contextlib.suppress(OSError, ValueError):  # the reader notices that the pipeline is dead or closed
            for message in messages:
                stdin.write(message.encode() + b"\0")
            stdin.flush()

    def _read(self, number: int) -> list[str]:
        """Read outputs until all are complete, a program has died, or the timeout of a text has passed."""
        stdout = self._programs[-1].stdout
        assert stdout  # noqa: S101 - it is a pipe
        outputs: list[str] = []
        rest, deadline = b"", time.monotonic() + self._timeout
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while len(outputs) < number and time.monotonic() < deadline:
                if not selector.select(_POLL_SECONDS):
                    if self._has_dead():
                        break
                    continue
                if not (chunk := os.read(stdout.fileno(), _READ_BYTES)):
                    self._output_ended = True
                    break
                *complete, rest = (rest + chunk).split(b"\0")
                outputs += [output.decode(errors="replace") for output in complete]
                deadline = time.monotonic() + self._timeout if complete else deadline
        return outputs

    def _has_dead(self) -> bool:
        """Return whether a program has died. The others need not end: at a truncated input apertium-transfer reads for ever."""
        return any(program.poll() is not None for program in self._programs)
