"""Format `moses`: two files, line n of one is the translation of line n of the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mlctl.corpora.archives.compression import FileLocation, members
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.lines import read_lines
from mlctl.corpora.readers.selection import PairSelection, language_of
from mlctl.errors import InputError


def read(sides: tuple[FileLocation, FileLocation]) -> Iterator[Row]:
    """Yield the pairs of two files (source side, target side); an empty line stays an empty side.

    Raises:
        InputError: also when the files differ in their number of lines.
    """
    source, target = sides
    source_lines, target_lines = read_lines(source), read_lines(target)
    for source_line, target_line in itertools.zip_longest(source_lines, target_lines):
        if source_line is None or target_line is None:
            number, _ = source_line or target_line
            longer = number + sum(1 for _ in itertools.chain(source_lines, target_lines))
            counts = (number - 1, longer) if source_line is None else (longer, number - 1)
            raise InputError(
                f"{source} has {counts[0]} lines, {target} has {counts[1]}",
                "line n of one file must be the translation of line n of the other",
            )
        number, text = source_line
        yield Row(text, target_line[1], f"{source.name}:{number}")


def sides_of_archive(path: Path, member: str, selection: PairSelection) -> tuple[FileLocation, FileLocation]:
    """Return the two sides in one zip: `member` with the languages filled in, else the files whose suffixes are the languages."""
    if path.suffix != ".zip":
        raise InputError(f"{path} is one file, the format moses has two", "name two files, or a .zip with both")
    if member and "{language}" not in member:
        raise InputError(f"member {member!r} names one file for both sides", "write {language} where the side's code is")
    source, target = (_member(path, member, tag) for tag in (selection.source, selection.target))
    return FileLocation(path, source), FileLocation(path, target)


def _member(path: Path, pattern: str, tag: str) -> str:
    """Return the member of a side: that with the canonical tag, else the first with another code of the same language."""
    before, _, after = pattern.partition("{language}")
    names = members(path)
    if pattern:
        codes = {name: name[len(before) : len(name) - len(after)] for name in names if _matches(name, before, after)}
    else:
        codes = {name: PurePosixPath(name).suffix[1:] for name in names}
    candidates = sorted((code != tag, name) for name, code in codes.items() if language_of(code) == tag)
    if not candidates:
        listed = ", ".join(names[:8]) or "no files"
        raise InputError(f"{path} has no file for {tag!r}", f"it has {listed}; set `member` to those to read")
    return candidates[0][1]


def _matches(name: str, before: str, after: str) -> bool:
    return name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after)
