"""Text files line by line: strict UTF-8, plain or gzip, with errors that name file and line."""

from __future__ import annotations

import functools
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mlctl.errors import InputError

_BOM = b"\xef\xbb\xbf"
_LONGEST = 16 * 2**20


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without its line end).

    A line ends at LF (a CR before it goes too) and nowhere else: U+2028, U+0085 or a vertical tab are text, otherwise the two
    sides of a corpus would fall apart.

    Raises:
        InputError: the file cannot be opened, is cut off or damaged, has a byte that is not UTF-8, or a line over 16 MiB.
    """
    try:
        with _open(path) as stream:
            for number, raw in enumerate(iter(functools.partial(stream.readline, _LONGEST), b""), 1):
                yield number, _decode(raw, path, number)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is cut off or damaged: {error}", "copy or fetch the file again") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", "check the path and who may read it") from None


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _decode(raw: bytes, path: Path, number: int) -> str:
    if len(raw) == _LONGEST and not raw.endswith(b"\n"):
        raise InputError(f"{path}, line {number} is longer than {_LONGEST >> 20} MiB", "put one sentence on a line")
    if number == 1:
        raw = raw.removeprefix(_BOM)
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"{path}, line {number}: byte {error.start + 1} of the line (0x{line[error.start]:02x}) is not UTF-8"
        raise InputError(problem, "convert the file, for example with `iconv -f latin1 -t utf-8`") from None
