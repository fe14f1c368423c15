"""Reads lines of strict UTF-8; errors name the file and the line."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from mlctl.corpora.archives.compression import FileLocation, open_bytes
from mlctl.errors import InputError

_BOM = b"\xef\xbb\xbf"
_MAX_LINE_BYTES = 16 * 2**20


def read_lines(location: FileLocation) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without its line end).

    A line ends only at LF (a CR before it is removed): U+2028, U+0085 or a vertical tab are text, otherwise the two sides of a
    corpus would get out of step.

    Raises:
        InputError: the file cannot be opened, is cut off or damaged, has a byte that is not UTF-8, or a line over 16 MiB.
    """
    with open_bytes(location) as stream:
        for number, raw in enumerate(iter(functools.partial(stream.readline, _MAX_LINE_BYTES), b""), 1):
            yield number, _decode(raw, location, number)


def _decode(raw: bytes, location: FileLocation, number: int) -> str:
    if len(raw) == _MAX_LINE_BYTES and not raw.endswith(b"\n"):
        raise InputError(f"{location}, line {number} is longer than {_MAX_LINE_BYTES >> 20} MiB", "write one sentence per line")
    if number == 1:
        raw = raw.removeprefix(_BOM)
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"{location}, line {number}: byte {error.start + 1} of the line (0x{line[error.start]:02x}) is not UTF-8"
        raise InputError(problem, "convert the file, for example with `iconv -f latin1 -t utf-8`") from None
