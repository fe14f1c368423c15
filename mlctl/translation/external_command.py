"""Backend `command`: a program of the user that reads a sentence a line and writes a translation a line."""

from __future__ import annotations

import logging
import shutil
import subprocess
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from mlctl.config import Translate
from mlctl.core.hashing import file_digest, named_digest
from mlctl.core.url_redaction import redact_command
from mlctl.errors import InputError
from mlctl.execution.process_group import ProcessGroup, describe_exit, last_lines
from mlctl.execution.program_text import quote, to_single_line
from mlctl.translation.backend import EMPTY, FAILED, NO_FILES, BackendFiles, Translation
from mlctl.translation.program_backend import ProgramBackend

_log = logging.getLogger(__name__)
# Lines of one process: enough to make its start time negligible. Batches must not depend on the number of threads, since neural
# programs round differently in other batches.
_BATCH_LINES = 500
_START_SECONDS, _LINE_SECONDS = 120.0, 5.0


class CommandBackend(ProgramBackend):
    """Runs one process a batch: writes all lines, closes its input, reads all lines. The program need not flush its output."""

    def __init__(
        self,
        settings: Translate,
        source: str,
        target: str,
        files: BackendFiles = NO_FILES,
        start_seconds: float = _START_SECONDS,
        line_seconds: float = _LINE_SECONDS,
    ) -> None:
        """Find the program; `files` are not used.

        A process is killed after `start_seconds` and `line_seconds` for each line.

        Raises:
            InputError: there is no such program.
        """
        del files
        self._arguments = settings.command_for(source, target)
        self._program = _find_program(self._arguments[0])
        super().__init__(settings, source, target, _BATCH_LINES)
        self._version = settings.command_version
        self._start_seconds, self._line_seconds = start_seconds, line_seconds
        self._lock = threading.Lock()
        self._running: set[ProcessGroup] = set()
        self._closed = False

    def identity(self) -> dict[str, str]:
        """Return the program with a digest of its arguments, its version from the recipe, and the digest of the files that it names."""
        return {
            "backend": "command",
            "command": " ".join(map(repr, redact_command(self._arguments))),
            "version": self._version,
            "digest": self._digest,
        }

    def close(self) -> None:
        """Kill all processes."""
        with self._lock:
            self._closed = True
            for group in self._running:
                group.kill()
        self._threads.shutdown(cancel_futures=True)

    @cached_property
    def _digest(self) -> str:
        """SHA-256 over the program and the files among its arguments: scripts, settings, models."""
        files = map(Path, (self._program, *filter(_is_file, self._arguments[1:])))
        return named_digest((file.name, file_digest(file)) for file in files)

    def _translate_batch(self, lines: Sequence[str]) -> list[Translation]:
        try:
            return _to_translations(self._run(lines))
        except _CommandError as error:
            self._check_command()
            _log.warning("translate.command failed (%s): retrying in smaller batches", error)
        return self._translate_halves(lines)

    def _translate_halves(self, lines: Sequence[str]) -> list[Translation]:
        """Translate the two halves of a batch that failed; a single line is retried once."""
        middle = len(lines) // 2
        halves = [half for half in (lines[:middle], lines[middle:]) if half]
        return [translation for half in halves for translation in self._translate_half(half)]

    def _translate_half(self, lines: Sequence[str]) -> list[Translation]:
        try:
            return _to_translations(self._run(lines))
        except _CommandError as error:
            if len(lines) > 1:
                return self._translate_halves(lines)
            _log.warning("translate.command fails on %s (%s): text rejected", quote(lines[0]), error)
            return [Translation("", FAILED)]

    def _check_command(self) -> None:
        """Check that the program translates a number: if not, the program is broken, not the text."""
        try:
            self._run(["1"])
        except _CommandError as error:
            raise InputError(
                f"translate.command: {self._arguments[0]} does not translate the line `1`: {error}",
                "the program must read lines until its input ends, write a line for each, in UTF-8, and exit with status 0",
            ) from None

    def _run(self, lines: Sequence[str]) -> list[str]:
        """Return the program's output, one line for each input line.

        Raises:
            _CommandError: the exit status is not 0, the number of lines differs, or the output is not UTF-8.
        """
        status, output, errors = self._run_process("".join(f"{line}\n" for line in lines).encode(), len(lines))
        if status:
            raise _CommandError(f"it {describe_exit(status)}; standard error: {last_lines(errors)}")
        try:
            results = output.decode("utf-8-sig").removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise _CommandError(f"its output is not UTF-8 (byte {error.start})") from None
        if len(results) != len(lines) or not output:
            number = len(results) if output else 0
            raise _CommandError(f"it wrote {number} lines for {len(lines)}; standard error: {last_lines(errors)}")
        return [to_single_line(line) for line in results]

    def _run_process(self, data: bytes, lines: int) -> tuple[int, bytes, bytes]:
        """Run the program once; return its exit status, output and standard error."""
        pipe, timeout = subprocess.PIPE, self._start_seconds + self._line_seconds * lines
        with self._lock:
            if self._closed:
                raise RuntimeError("translation was stopped")
            self._running.add(group := ProcessGroup())
        try:
            process = group.start([self._program, *self._arguments[1:]], stdin=pipe, stdout=pipe, stderr=pipe)
            output, errors = process.communicate(data, timeout=timeout)
        except OSError as error:
            raise InputError(
                f"translate.command: {self._program} cannot be started ({error.strerror})", "name an executable program"
            ) from None
        except subprocess.TimeoutExpired:
            raise InputError(
                f"translate.command: {self._arguments[0]} did not end within {timeout:g} s for {lines} lines",
                "the program must read lines until its input ends, write a line for each, and exit",
            ) from None
        finally:
            group.close()
            with self._lock:
                self._running.discard(group)
        return process.returncode, output, errors


class _CommandError(Exception):
    """The program failed on a batch; it may succeed on another one."""


def _to_translations(lines: Sequence[str]) -> list[Translation]:
    return [Translation(line) if line else Translation("", EMPTY) for line in lines]


def _find_program(program: str) -> str:
    if path := shutil.which(program):
        return path
    raise InputError(
        f"translate.command: there is no executable program {program!r}", "give its path, or install it in a folder of PATH"
    )


def _is_file(argument: str) -> bool:
    """Return whether an argument names a file; some arguments are not valid paths."""
    try:
        return Path(argument).is_file()
    except (OSError, ValueError):
        return False
