"""Format `moses`: line n of one file translates line n of the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mlctl.corpora.archives.compression import Place, members
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.lines import read_lines
from mlctl.corpora.readers.wanted import Wanted, language_of
from mlctl.errors import InputError


def read(sides: tuple[Place, Place], wanted: Wanted) -> Iterator[Row]:
    """Yield the pairs of two files; an empty line stays an empty side.

    Raises:
        InputError: also when the files differ in their number of lines.
    """
    del wanted  # the files' names have said which side is which
    source, target = sides
    for ours, theirs in itertools.zip_longest(lines := read_lines(source), others := read_lines(target)):
        if ours is None or theirs is None:
            number = (ours or theirs)[0]
            rest = number + sum(1 for _ in itertools.chain(lines, others))
            counts = (number - 1, rest) if ours is None else (rest, number - 1)
            raise InputError(
                f"{source} has {counts[0]} lines, {target} has {counts[1]}",
                "line n of one file must translate line n of the other",
            )
        yield Row(ours[1], theirs[1], f"{source.name}:{ours[0]}")


def sides_of_archive(path: Path, member: str, wanted: Wanted) -> tuple[Place, Place]:
    """Return the two sides in one zip: `member` with the languages in place, else the files whose suffixes are the languages."""
    if path.suffix != ".zip":
        raise InputError(f"{path} is one file, a moses pair has two", "name two files, or a .zip with both")
    if member and "{language}" not in member:
        raise InputError(f"member {member!r} names one file for both sides", "write {language} where the side's code is")
    found = {tag: _member(path, member, tag) for tag in (wanted.source, wanted.target)}
    return Place(path, found[wanted.source]), Place(path, found[wanted.target])


def _member(path: Path, pattern: str, tag: str) -> str:
    """Return the member of a side: the canonical tag's, else the first that writes the same language otherwise."""
    before, _, after = pattern.partition("{language}")
    there = members(path)
    if pattern:
        codes = {name: name[len(before) : len(name) - len(after)] for name in there if _fits(name, before, after)}
    else:
        codes = {name: PurePosixPath(name).suffix[1:] for name in there}
    same = sorted((code != tag, name) for name, code in codes.items() if language_of(code) == tag)
    if not same:
        listed = ", ".join(there[:8]) or "no files"
        raise InputError(f"{path} has no file for {tag!r}", f"it has {listed}; say with `member` which ones to read")
    return same[0][1]


def _fits(name: str, before: str, after: str) -> bool:
    return name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after)
