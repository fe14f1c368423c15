"""Dev sets (`translate.dev`): sentences with a human translation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlctl.config import DevSet, Languages, Translate
from mlctl.core.hashing import file_digest
from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError

_LANGUAGE = "{language}"
_FIX_PATH = "fix its path in translate.dev"


def digests(settings: Translate, languages: Languages) -> dict[str, str]:
    """Return the SHA-256 of both files of every dev set, by `dev/<index>/<language>` (two sets can have the same file name).

    Raises:
        InputError: a file is missing, or a set is for a language that the recipe does not have.
    """
    result = {}
    for index, dev_set in enumerate(settings.dev):
        _check_language(dev_set, languages)
        for language in (languages.source, dev_set.target):
            path = path_of(dev_set, language)
            try:
                result[f"dev/{index}/{language}"] = file_digest(path)
            except OSError as error:
                problem = f"translate.dev: {path} cannot be read: {error.strerror or error}"
                raise InputError(problem, "check the path and its permissions") from None
    return result


def check(dev_set: DevSet, languages: Languages) -> None:
    """Check that a set is for a target language of the recipe and can be read.

    Raises:
        InputError: it is not, or cannot.
    """
    _check_language(dev_set, languages)
    read(dev_set, languages.source, dev_set.target)


def name_of(dev_set: DevSet) -> str:
    """Return the name of a set: its file name, which is the same on every machine."""
    return Path(dev_set.path).name


def path_of(dev_set: DevSet, language: str) -> Path:
    """Return the file of one side of a set.

    Raises:
        InputError: there is no such file.
    """
    if _LANGUAGE not in dev_set.path:
        raise InputError(
            f"translate.dev: {dev_set.path} names one file for both sides", "write {language} in place of the language's code"
        )
    path = Path(dev_set.path.replace(_LANGUAGE, language)).expanduser()
    if not path.is_file():
        raise InputError(f"translate.dev: no file {path}", _FIX_PATH)
    return path


def read(dev_set: DevSet, source: str, target: str) -> tuple[list[str], list[str]]:
    """Return the sentences of both sides: at most `dev_set.sentences`, spread evenly over the files.

    Raises:
        InputError: a file is missing, corrupt, empty or not UTF-8, a line is empty, or the files differ in their number of lines; the
            message names file and line.
    """
    files = path_of(dev_set, source), path_of(dev_set, target)
    sides = [list(_lines(file)) for file in files]
    if not all(sides):
        raise InputError(f"translate.dev: {files[0] if not sides[0] else files[1]} is empty", _FIX_PATH)
    if len(sides[0]) != len(sides[1]):
        raise InputError(
            f"translate.dev: {files[0]} has {len(sides[0])} lines and {files[1]} {len(sides[1])}",
            "give two files whose lines translate each other",
        )
    lines = _evenly_spaced(len(sides[0]), dev_set.sentences)
    return [sides[0][line] for line in lines], [sides[1][line] for line in lines]


def _evenly_spaced(lines: int, max_lines: int) -> list[int]:
    number = min(lines, max_lines)
    return [index * lines // number for index in range(number)]


def _lines(path: Path) -> Iterator[str]:
    """Yield the sentences of a file, trimmed."""
    try:
        for number, line in numbered_lines(path):
            if not line.strip():
                raise InputError(f"{path}, line {number} is empty", "remove the line from both files")
            yield line.strip()
    except InputError as error:
        raise InputError(f"translate.dev: {error.problem}", error.remedy) from None


def _check_language(dev_set: DevSet, languages: Languages) -> None:
    if dev_set.target not in languages.targets:
        problem = f"translate.dev: {dev_set.path} is for {dev_set.target}, but the recipe has {', '.join(languages.targets)}"
        raise InputError(problem, "name one of languages.targets as its `target`, or remove the set")
