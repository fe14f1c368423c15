"""Text line by line: strict UTF-8, with errors that name file and line."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from mlctl.corpora.archives.compression import Place, open_bytes
from mlctl.errors import InputError

_BOM = b"\xef\xbb\xbf"
_LONGEST = 16 * 2**20


def read_lines(place: Place) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without its line end).

    A line ends at LF (a CR before it goes too) and nowhere else: U+2028, U+0085 or a vertical tab are text, otherwise the two
    sides of a corpus would fall apart.

    Raises:
        InputError: the file cannot be opened, is cut off or damaged, has a byte that is not UTF-8, or a line over 16 MiB.
    """
    with open_bytes(place) as stream:
        for number, raw in enumerate(iter(functools.partial(stream.readline, _LONGEST), b""), 1):
            yield number, _decode(raw, place, number)


def _decode(raw: bytes, place: Place, number: int) -> str:
    if len(raw) == _LONGEST and not raw.endswith(b"\n"):
        raise InputError(f"{place}, line {number} is longer than {_LONGEST >> 20} MiB", "put one sentence on a line")
    if number == 1:
        raw = raw.removeprefix(_BOM)
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"{place}, line {number}: byte {error.start + 1} of the line (0x{line[error.start]:02x}) is not UTF-8"
        raise InputError(problem, "convert the file, for example with `iconv -f latin1 -t utf-8`") from None
