"""Reads lines of UTF-8, or of UTF-16 and UTF-32 with a byte order mark; errors name the file and the line."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator

from mlctl.corpora.archives.compression import FileLocation, open_bytes
from mlctl.corpora.readers.encoding import encoding_of_bom, unmarked_utf16
from mlctl.errors import InputError

_BOM = b"\xef\xbb\xbf"
_HEAD_BYTES = 4096
_MAX_LINE_BYTES = 16 * 2**20


def read_lines(location: FileLocation) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without its line end).

    A line ends only at LF (a CR before it is removed): U+2028, U+0085 or a vertical tab are text, otherwise the two sides of a
    corpus would get out of step.

    Raises:
        InputError: the file cannot be opened, is cut off or damaged, has a byte that is not of its encoding, is UTF-16 without a mark,
            or has a line over 16 MiB.
    """
    with open_bytes(location) as stream:
        head = stream.peek(_HEAD_BYTES)[:_HEAD_BYTES]
        if (encoding := encoding_of_bom(head)) not in ("", "utf-8-sig"):
            yield from _read_marked(stream, encoding, location)
            return
        if encoding := unmarked_utf16(head):
            problem = f"{location} looks like {encoding.upper()} without a byte order mark"
            raise InputError(problem, f"convert the file: `iconv -f {encoding} -t utf-8`")
        for number, raw in enumerate(iter(functools.partial(stream.readline, _MAX_LINE_BYTES), b""), 1):
            yield number, _decode(raw, location, number)


def _read_marked(stream: io.BufferedReader, encoding: str, location: FileLocation) -> Iterator[tuple[int, str]]:
    """Yield the lines of UTF-16 or UTF-32 with a byte order mark."""
    text = io.TextIOWrapper(stream, encoding, newline="\n")
    number = 0
    try:
        for number, line in enumerate(iter(functools.partial(text.readline, _MAX_LINE_BYTES), ""), 1):
            if len(line) == _MAX_LINE_BYTES and not line.endswith("\n"):
                raise _long_line(location, number)
            yield number, line.removesuffix("\n").removesuffix("\r")
    except UnicodeError as error:  # text is decoded in blocks: the line is not known
        reason = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
        problem = f"{location}, after line {number}: its byte order mark says {encoding.upper()}, but it is not valid: {reason}"
        raise InputError(problem, "write the file again, for example as UTF-8") from None


def _decode(raw: bytes, location: FileLocation, number: int) -> str:
    if len(raw) == _MAX_LINE_BYTES and not raw.endswith(b"\n"):
        raise _long_line(location, number)
    if number == 1:
        raw = raw.removeprefix(_BOM)
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"{location}, line {number}: byte {error.start + 1} of the line (0x{line[error.start]:02x}) is not UTF-8"
        remedy = "find the encoding of the file (iso-8859-2, windows-1251, …) and convert it: `iconv -f ENCODING -t utf-8`"
        raise InputError(problem, remedy) from None


def _long_line(location: FileLocation, number: int) -> InputError:
    return InputError(f"{location}, line {number} is longer than {_MAX_LINE_BYTES >> 20} MiB", "write one sentence per line")
