"""Two files of which line n of one is the translation of line n of the other."""

from __future__ import annotations

from pathlib import Path

from mlctl.core.text_lines import lines
from mlctl.errors import InputError


def read_parallel(first: Path, second: Path, remedy: str) -> tuple[list[str], list[str]]:
    """Return the lines of two files.

    Raises:
        InputError: they have no lines, or not equally many, or a line has no text; the message names file and line.
    """
    sides = lines(first), lines(second)
    if len(sides[0]) != len(sides[1]) or not sides[0]:
        raise InputError(f"{first} has {len(sides[0])} lines, {second.name} {len(sides[1])}", remedy)
    for file, side in zip((first, second), sides, strict=True):
        for number, line in enumerate(side, 1):
            if not line.strip():
                raise InputError(f"{file}, line {number} has no text", remedy)
    return sides
