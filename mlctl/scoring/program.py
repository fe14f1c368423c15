"""Scores of a program that runs once for a batch of pairs, on files or on its standard input and output."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mlctl.core.hashing import named_digest, tree_digest
from mlctl.errors import InputError
from mlctl.execution.process_group import ProcessGroup, describe_exit, last_lines
from mlctl.execution.processes import child_environment
from mlctl.execution.program_text import quote, to_single_line
from mlctl.scoring.scorer import Scores

_START_SECONDS, _PAIR_SECONDS = 600.0, 5.0

#: Returns the numbers in what a program wrote, as text.
Parse = Callable[[str], list[str]]


class ProgramScorer:
    """Runs a program on the pairs of a call and reads a number for each.

    Args:
        name: the name of the score, for messages.
        command: the program and its arguments; {pairs}, {sources}, {targets} and {scores} stand for the paths of files, {source} and
            {target} for the languages' codes.
        parse: returns the numbers in what the program wrote to {scores} or, without that file, to its standard output.
        seconds: to start, and for each pair: after that a program is killed.

    Raises:
        InputError: there is no such program.
    """

    compares = False

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        parse: Parse = str.splitlines,
        seconds: tuple[float, float] = (_START_SECONDS, _PAIR_SECONDS),
    ) -> None:
        self._setting = f"clean.scores.{name}"
        self._program = find_program(command[0], self._setting)
        self._arguments = command[1:]
        self._parse, self._seconds = parse, seconds

    def score(self, sources: Sequence[str], targets: Sequence[str], source_language: str, target_language: str) -> Scores:
        """Return the program's number for each pair, (N,).

        Raises:
            InputError: the program failed or did not end, or what it wrote is not a number for each pair.
        """
        if not sources:
            return np.empty(0, np.float32)
        with tempfile.TemporaryDirectory(prefix="mlctl-scores-") as folder:
            files = _write_pairs(Path(folder), sources, targets)
            places = {"source": source_language, "target": target_language, **{name: str(file) for name, file in files.items()}}
            arguments = [_fill_in(argument, places) for argument in self._arguments]
            reads_input = not any("{pairs}" in argument or "{sources}" in argument for argument in self._arguments)
            output = self._run(arguments, files["pairs"].read_bytes() if reads_input else b"", len(sources))
            if files["scores"].exists():
                output = files["scores"].read_bytes()
        return self._numbers(output, sources)

    def _numbers(self, output: bytes, sources: Sequence[str]) -> Scores:
        try:
            lines = self._parse(output.decode("utf-8-sig"))
        except (UnicodeDecodeError, ValueError, KeyError, TypeError, IndexError):
            raise self._bad_output("its output has another form than it should have") from None
        if len(lines) != len(sources):
            raise self._bad_output(f"it wrote {len(lines)} scores for {len(sources)} pairs")
        scores = np.empty(len(lines), np.float32)
        for row, line in enumerate(lines):
            try:
                scores[row] = float(line)
            except ValueError:
                raise self._bad_output(f"line {row + 1} of its output is no number: {quote(line)}") from None
        return scores

    def _bad_output(self, problem: str) -> InputError:
        return InputError(
            f"{self._setting}: {self._program}: {problem}", "the program must write a number for each pair, one a line, in order"
        )

    def _run(self, arguments: Sequence[str], data: bytes, pairs: int) -> bytes:
        """Run the program once and return its standard output."""
        pipe, timeout = subprocess.PIPE, self._seconds[0] + self._seconds[1] * pairs
        group = ProcessGroup()
        try:
            options = {"stdin": pipe, "stdout": pipe, "stderr": pipe, "env": _environment()}
            process = group.start([self._program, *arguments], **options)
            output, errors = process.communicate(data, timeout=timeout)
        except OSError as error:
            remedy = "name an executable program"
            raise InputError(f"{self._setting}: {self._program} cannot be started ({error.strerror})", remedy) from None
        except subprocess.TimeoutExpired:
            problem = f"{self._setting}: {self._program} did not end within {timeout:g} s for {pairs} pairs"
            raise InputError(problem, "the program must read its input, write a number for each pair, and exit") from None
        finally:
            group.close()
        if process.returncode:
            raise InputError(
                f"{self._setting}: {self._program} {describe_exit(process.returncode)}; standard error: {last_lines(errors)}",
                "fix the program, its model or its arguments; a second run resumes after the finished parts",
            )
        return output


def find_program(program: str, setting: str) -> str:
    """Return the path of a program.

    Raises:
        InputError: there is no such program.
    """
    if path := shutil.which(str(Path(program).expanduser())):
        return path
    problem = f"{setting}: there is no executable program {program!r}"
    raise InputError(problem, "give its path, or install it in a folder of PATH")


def program_digest(program: str, arguments: Sequence[str], setting: str) -> str:
    """Return the digest of a program and of the files and folders that its arguments name: scripts, models.

    Raises:
        InputError: there is no such program.
    """
    paths = [Path(find_program(program, setting)), *(Path(argument).expanduser() for argument in arguments if _exists(argument))]
    return named_digest((path.name, tree_digest(path)) for path in paths)


def _write_pairs(folder: Path, sources: Sequence[str], targets: Sequence[str]) -> dict[str, Path]:
    """Write the files that stand for {pairs}, {sources} and {targets}; the file {scores} is the program's to write."""
    sides = [[to_single_line(text).replace("\t", " ") for text in side] for side in (sources, targets)]
    lines = {
        "pairs": [f"{source}\t{target}" for source, target in zip(*sides, strict=True)],
        "sources": sides[0],
        "targets": sides[1],
    }
    files = {name: folder / f"{name}.txt" for name in (*lines, "scores")}
    for name, texts in lines.items():
        files[name].write_text("".join(f"{text}\n" for text in texts), encoding="utf-8", newline="\n")
    return files


def _fill_in(argument: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        argument = argument.replace(f"{{{name}}}", value)
    return argument


def _environment() -> dict[str, str]:
    """Return the environment of a program: one thread, since sums depend on their number and several programs may run at a time."""
    environment = {key: value for key, value in child_environment().items() if key != "PYTHONPATH"}
    own = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    return {"BICLEANER_AI_THREADS": "1", **environment, **own}


def _exists(argument: str) -> bool:
    """Return whether an argument names a file or folder; some arguments are not valid paths."""
    try:
        return Path(argument).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False
