"""Dev sets: sentences with a human translation, from the files that the recipe names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlctl.config import DevSet, Languages, Translate
from mlctl.core.hashing import file_digest
from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError

_LANGUAGE = "{language}"
_MEND = "mend its path in translate.dev"


def digests(settings: Translate, languages: Languages) -> dict[str, str]:
    """Return the sha256 of both files of every dev set, by `dev/<place>/<language>`: two sets may bear one name.

    Raises:
        InputError: a file is not there, or a set is for a language that the recipe does not have.
    """
    found = {}
    for place, known in enumerate(settings.dev):
        if known.target not in languages.targets:
            problem = f"translate.dev: {known.path} is for {known.target}, and the recipe has {', '.join(languages.targets)}"
            raise InputError(problem, "name one of languages.targets as its `target`, or take the set out")
        for language in (languages.source, known.target):
            found[f"dev/{place}/{language}"] = _digest(file_of(known, language))
    return found


def name_of(known: DevSet) -> str:
    """Return what a set is called: its file's name, which is the same on every machine."""
    return Path(known.path).name


def file_of(known: DevSet, language: str) -> Path:
    """Return the file of one side of a set.

    Raises:
        InputError: there is none.
    """
    if _LANGUAGE not in known.path:
        raise InputError(f"translate.dev: {known.path} names one file for both sides", "write {language} where the code stands")
    path = Path(known.path.replace(_LANGUAGE, language)).expanduser()
    if not path.is_file():
        raise InputError(f"translate.dev: no file {path}", _MEND)
    return path


def read(known: DevSet, source: str, target: str) -> tuple[list[str], list[str]]:
    """Return the sentences of both sides, `known.sentences` of them at most, spread evenly over the files.

    Raises:
        InputError: a file is not there, damaged, empty or not UTF-8, a line is empty, or the files differ in their number of
            lines; the message names file and line.
    """
    files = file_of(known, source), file_of(known, target)
    sides = [list(_lines(file)) for file in files]
    if not all(sides):
        raise InputError(f"translate.dev: {files[0] if not sides[0] else files[1]} has no line", _MEND)
    if len(sides[0]) != len(sides[1]):
        raise InputError(
            f"translate.dev: {files[0]} has {len(sides[0])} lines and {files[1]} {len(sides[1])}",
            "give two files whose lines translate each other",
        )
    chosen = _spread(len(sides[0]), known.sentences)
    return [sides[0][line] for line in chosen], [sides[1][line] for line in chosen]


def _spread(lines: int, most: int) -> list[int]:
    number = min(lines, most)
    return [place * lines // number for place in range(number)]


def _lines(path: Path) -> Iterator[str]:
    """Yield the sentences of a file, without spaces at their ends."""
    try:
        for number, line in numbered_lines(path):
            if not line.strip():
                raise InputError(f"{path}, line {number} is empty", "remove the line from both files")
            yield line.strip()
    except InputError as error:
        raise InputError(f"translate.dev: {error.problem}", error.remedy) from None


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        problem = f"translate.dev: {path} cannot be read: {error.strerror or error}"
        raise InputError(problem, "check the path and who may read it") from None
