"""Lines of published text files: plain, gzip, xz or zstd; UTF-8 with or without a byte order mark; LF or CR LF."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from backports import zstd

from mlctl.errors import InputError

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open, ".zst": zstd.open}
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zstd.ZstdError)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, text) of each line. Lines end at LF or CR LF and nowhere else.

    Raises:
        InputError: the file is missing, damaged or not UTF-8.
    """
    number = 0
    try:
        with _OPENERS.get(path.suffix, open)(path, "rb") as stream:
            for number, raw in enumerate(stream, 1):
                line = raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
                yield number, line.removeprefix("\ufeff") if number == 1 else line
    except UnicodeDecodeError as error:
        problem = f"{path}, line {number} is not UTF-8: {error.reason}"
        raise InputError(problem, "convert the file, for example with `iconv -f latin1 -t utf-8`") from None
    except _DAMAGE as error:
        raise InputError(f"{path} is cut off or damaged: {error}", "copy or fetch the file again") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", "check the path and its permissions") from None


def lines(path: Path) -> list[str]:
    """Return all lines of a file; see `numbered_lines`."""
    return [line for _, line in numbered_lines(path)]
