"""Lines of text files as they are published: plain or gzipped, UTF-8 with or without a mark, LF or CR LF."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from mlctl.errors import InputError


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, text) of the lines; they end at LF or CR LF and nowhere else.

    Raises:
        InputError: the file is not there, damaged or not UTF-8.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                line = raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
                yield number, line.removeprefix("\ufeff") if number == 1 else line
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error.reason}", "convert the file, for example with `iconv -t utf-8`") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is cut off or damaged: {error}", "copy or fetch the file again") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", "check the path and who may read it") from None


def lines(path: Path) -> list[str]:
    """Return all lines of a file, as `numbered_lines` reads them."""
    return [line for _, line in numbered_lines(path)]
