"""Lines of published text files: plain, gzip, xz or zstd; UTF-8 with or without a byte order mark; LF or CR LF."""

from __future__ import annotations

import codecs
import contextlib
import functools
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlctl.core.unpack_limits import LimitedStream, UnpackBudget, stream_limits
from mlctl.core.zstandard import zstd
from mlctl.errors import InputError

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open, ".zst": zstd.open}
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MAX_LINE_BYTES = 16 * 2**20
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zstd.ZstdError)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, text) of each line. Lines end at LF or CR LF and nowhere else.

    Raises:
        InputError: the file is missing, damaged, not UTF-8, a decompression bomb, or has a NUL or a line over 16 MiB.
    """
    number = 0
    try:
        with path.open("rb") as packed, _OPENERS.get(path.suffix, contextlib.nullcontext)(packed) as stream:
            limited = LimitedStream(stream, UnpackBudget(str(path), packed.tell, stream_limits()))
            readline = functools.partial(io.BufferedReader(limited, 2**17).readline, _MAX_LINE_BYTES)
            for number, raw in enumerate(iter(readline, b""), 1):
                _check_line(raw, path, number)
                line = raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
                yield number, line.removeprefix("\ufeff") if number == 1 else line
    except UnicodeDecodeError as error:
        problem = f"{path}, line {number} is not UTF-8: {error.reason}"
        raise InputError(problem, "convert the file, for example with `iconv -f latin1 -t utf-8`") from None
    except _DAMAGE as error:
        raise InputError(f"{path} is cut off or damaged: {error}", "copy or fetch the file again") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", "check the path and its permissions") from None


def _check_line(raw: bytes, path: Path, number: int) -> None:
    if number == 1 and raw.startswith(_UTF16_MARKS):
        raise InputError(f"{path} is UTF-16, by its byte order mark", "convert the file: `iconv -f utf-16 -t utf-8`")
    if b"\0" in raw:
        problem = f"{path}, line {number} has a NUL character: the file is damaged, or UTF-16 without a byte order mark"
        raise InputError(problem, "copy or fetch the file again, or convert it: `iconv -f utf-16le -t utf-8`")
    if len(raw) == _MAX_LINE_BYTES and not raw.endswith(b"\n"):
        raise InputError(f"{path}, line {number} is longer than {_MAX_LINE_BYTES >> 20} MiB", "write one sentence per line")


def lines(path: Path) -> list[str]:
    """Return all lines of a file; see `numbered_lines`."""
    return [line for _, line in numbered_lines(path)]
