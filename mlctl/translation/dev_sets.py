"""Dev sets (`translate.dev`): sentences with a human translation."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from backports import zstd

from mlctl.config import DevSet, Languages, Translate
from mlctl.core.hashing import file_digest
from mlctl.errors import InputError

_LANGUAGE = "{language}"
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open, ".zst": zstd.open}
_CORRUPT = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zstd.ZstdError)
_FIX_PATH = "fix its path in translate.dev"


def digests(settings: Translate, languages: Languages) -> dict[str, str]:
    """Return the SHA-256 of both files of every dev set, by `dev/<index>/<language>` (two sets can have the same file name).

    Raises:
        InputError: a file is missing, or a set is for a language that the recipe does not have.
    """
    result = {}
    for index, dev_set in enumerate(settings.dev):
        if dev_set.target not in languages.targets:
            problem = f"translate.dev: {dev_set.path} is for {dev_set.target}, but the recipe has {', '.join(languages.targets)}"
            raise InputError(problem, "name one of languages.targets as its `target`, or remove the set")
        for language in (languages.source, dev_set.target):
            path = path_of(dev_set, language)
            try:
                result[f"dev/{index}/{language}"] = file_digest(path)
            except OSError as error:
                raise _unreadable(path, error) from None
    return result


def name_of(dev_set: DevSet) -> str:
    """Return the name of a set: its file name, which is the same on every machine."""
    return Path(dev_set.path).name


def path_of(dev_set: DevSet, language: str) -> Path:
    """Return the file of one side of a set.

    Raises:
        InputError: there is no such file.
    """
    if _LANGUAGE not in dev_set.path:
        raise InputError(
            f"translate.dev: {dev_set.path} names one file for both sides", "write {language} in place of the language's code"
        )
    path = Path(dev_set.path.replace(_LANGUAGE, language)).expanduser()
    if not path.is_file():
        raise InputError(f"translate.dev: no file {path}", _FIX_PATH)
    return path


def read(dev_set: DevSet, source: str, target: str) -> tuple[list[str], list[str]]:
    """Return the sentences of both sides: at most `dev_set.sentences`, spread evenly over the files.

    Raises:
        InputError: a file is missing, corrupt, empty or not UTF-8, a line is empty, or the files differ in their number of lines; the
            message names file and line.
    """
    files = path_of(dev_set, source), path_of(dev_set, target)
    sides = [list(_lines(file)) for file in files]
    if not all(sides):
        raise InputError(f"translate.dev: {files[0] if not sides[0] else files[1]} is empty", _FIX_PATH)
    if len(sides[0]) != len(sides[1]):
        raise InputError(
            f"translate.dev: {files[0]} has {len(sides[0])} lines and {files[1]} {len(sides[1])}",
            "give two files whose lines translate each other",
        )
    lines = _evenly_spaced(len(sides[0]), dev_set.sentences)
    return [sides[0][line] for line in lines], [sides[1][line] for line in lines]


def _evenly_spaced(lines: int, max_lines: int) -> list[int]:
    number = min(lines, max_lines)
    return [index * lines // number for index in range(number)]


def _lines(path: Path) -> Iterator[str]:
    """Yield the sentences of a file; lines end at LF or CR LF only."""
    number = 0
    try:
        with _OPENERS.get(path.suffix, open)(path, "rb") as stream:
            for number, raw in enumerate(stream, 1):
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if not text:
                    raise InputError(f"translate.dev: {path}, line {number} is empty", "remove the line from both files")
                yield text
    except UnicodeDecodeError as error:
        problem = f"translate.dev: {path}, line {number} is not UTF-8: {error.reason}"
        raise InputError(problem, "convert the file, for example with `iconv -t utf-8`") from None
    except _CORRUPT as error:
        raise InputError(f"translate.dev: {path} is truncated or corrupt: {error}", "copy or fetch the file again") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"translate.dev: {path} cannot be read: {error.strerror or error}", "check the path and the permissions of the file"
    )
