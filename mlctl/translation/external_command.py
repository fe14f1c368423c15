"""A program of the user's own that reads a sentence a line and writes a translation a line."""

from __future__ import annotations

import logging
import shutil
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from mlctl.config import Translate
from mlctl.core.hashing import file_digest, named_digest
from mlctl.errors import InputError
from mlctl.translation.backend import EMPTY, TOO_LONG, Translation, command_for
from mlctl.translation.process_group import FAILED, Group, ending, is_there, last_lines, one_line, shown, side_by_side, words

_log = logging.getLogger(__name__)
# Lines that one process gets: many enough to pay for its start. The number of workers must not change what stands together, for
# neural programs round otherwise in other company.
_BATCH = 500
_TO_START, _A_LINE = 120.0, 5.0  # seconds


class CommandTranslator:
    """A process a batch: all lines in, end of input, all lines out. So it works whether or not the program flushes its lines."""

    def __init__(
        self, settings: Translate, source: str, target: str, to_start: float = _TO_START, a_line: float = _A_LINE
    ) -> None:
        """Find the program; a process may take `to_start` seconds and `a_line` seconds for each line.

        Raises:
            InputError: the program is not there.
        """
        self._arguments = command_for(settings, source, target)
        self._program = _found(self._arguments[0])
        self._settings, self._languages = settings, (source, target)
        self._to_start, self._a_line = to_start, a_line
        self._workers = ThreadPoolExecutor(side_by_side(settings.workers))
        self._lock = threading.Lock()
        self._running: set[Group] = set()
        self._closed = False

    def identity(self) -> dict[str, str]:
        """Return the command, its version as the recipe tells it, and the digest of the files that it names."""
        return {
            "backend": "command",
            "command": " ".join(map(repr, self._arguments)),
            "version": self._settings.command_version,
            "digest": self._digest,
        }

    def serves(self, source: str, target: str) -> bool:
        """Tell whether these are the languages it was set up for: of others nothing is known."""
        return (source, target) == self._languages

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Tell for each text whether it has few enough words."""
        del source, target
        return [words(text) <= self._settings.max_tokens for text in texts]

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts, one answer each in their order; one on which the program fails twice is rejected as `FAILED`.

        Raises:
            InputError: the program does not translate a single number, or does not come to an end.
        """
        fits = self.fits(texts, source, target)
        made = [Translation("", EMPTY if fitting else TOO_LONG) for fitting in fits]
        lines = {row: line for row, text in enumerate(texts) if fits[row] and (line := one_line(text))}
        rows = list(lines)
        batches = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
        answers = self._workers.map(lambda batch: self._batch([lines[row] for row in batch]), batches)
        for batch, found in zip(batches, answers, strict=True):
            for row, translation in zip(batch, found, strict=True):
                made[row] = translation
        return made

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._closed = True
            for group in self._running:
                group.kill()
        self._workers.shutdown(cancel_futures=True)

    @cached_property
    def _digest(self) -> str:
        """Return sha256 over the program and the files among its arguments: scripts, settings, models."""
        files = map(Path, (self._program, *filter(is_there, self._arguments[1:])))
        return named_digest((file.name, file_digest(file)) for file in files)

    def _batch(self, lines: Sequence[str]) -> list[Translation]:
        try:
            return _translations(self._run(lines))
        except _FailedError as failure:
            self._require_working()
            _log.warning("translate.command failed (%s): tried again in smaller batches", failure)
        return self._halves(lines)

    def _halves(self, lines: Sequence[str]) -> list[Translation]:
        """Translate the two halves of a batch that failed; a single line is tried once more."""
        middle = len(lines) // 2
        return [translation for half in (lines[:middle], lines[middle:]) if half for translation in self._smaller(half)]

    def _smaller(self, lines: Sequence[str]) -> list[Translation]:
        try:
            return _translations(self._run(lines))
        except _FailedError as failure:
            if len(lines) > 1:
                return self._halves(lines)
            _log.warning("translate.command fails on %s (%s): left out", shown(lines[0]), failure)
            return [Translation("", FAILED)]

    def _require_working(self) -> None:
        """Tell a text that the program fails on from a program that fails."""
        try:
            self._run(["1"])
        except _FailedError as failure:
            raise InputError(
                f"translate.command: {self._arguments[0]} does not translate the line `1`: {failure}",
                "it has to read lines until its input ends, write a line for each, in UTF-8, and end with status 0",
            ) from None

    def _run(self, lines: Sequence[str]) -> list[str]:
        """Return the program's answers, a line each.

        Raises:
            _FailedError: it ended otherwise than with status 0, or gave another number of lines, or no UTF-8.
        """
        status, answer, errors = self._process("".join(f"{line}\n" for line in lines).encode(), len(lines))
        if status:
            raise _FailedError(f"it {ending(status)}; standard error: {last_lines(errors)}")
        try:
            found = answer.decode("utf-8-sig").removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise _FailedError(f"its output is not UTF-8 (byte {error.start})") from None
        if len(found) != len(lines) or not answer:
            number = len(found) if answer else 0
            raise _FailedError(f"it gave {number} lines for {len(lines)}; standard error: {last_lines(errors)}")
        return [one_line(line) for line in found]

    def _process(self, sent: bytes, number: int) -> tuple[int, bytes, bytes]:
        """Run the program once; return its exit status, its output and its errors."""
        pipe, patience = subprocess.PIPE, self._to_start + self._a_line * number
        with self._lock:
            if self._closed:
                raise RuntimeError("translation was stopped")
            self._running.add(group := Group())
        try:
            process = group.start([self._program, *self._arguments[1:]], stdin=pipe, stdout=pipe, stderr=pipe)
            answer, errors = process.communicate(sent, timeout=patience)
        except OSError as error:
            raise InputError(
                f"translate.command: {self._program} cannot be started ({error.strerror})", "name a program that can be run"
            ) from None
        except subprocess.TimeoutExpired:
            raise InputError(
                f"translate.command: {self._arguments[0]} did not end within {patience:g} s for {number} lines",
                "it has to read lines until its input ends, write a line for each, and end",
            ) from None
        finally:
            group.end()
            with self._lock:
                self._running.discard(group)
        return process.returncode, answer, errors


class _FailedError(Exception):
    """The program failed on a batch; another one may be fine."""


def _translations(lines: Sequence[str]) -> list[Translation]:
    return [Translation(line) if line else Translation("", EMPTY) for line in lines]


def _found(program: str) -> str:
    if path := shutil.which(program):
        return path
    raise InputError(
        f"translate.command: there is no program {program!r} that can be run", "give its path, or install it where PATH leads"
    )
