"""Reads the file of a recipe or a sweep. What is neither (a folder, a device, data, another encoding) is named at once."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

from mlctl.config import yaml_text
from mlctl.config.yaml_text import Document
from mlctl.errors import InputError

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_MAX_BYTES = 4 * yaml_text.MAX_CHARACTERS
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read(path: Path, kind: str = "recipe") -> Document:
    """Return the settings of a file: its values are a dict.

    Args:
        path: of the file.
        kind: what it should contain, for messages: recipe or sweep.

    Raises:
        InputError: there is no such file, or it contains something else.
    """
    document = yaml_text.parse(_decode(_read_bytes(path, kind), path), str(path))
    if isinstance(document.values, dict) and document.values:
        return document
    found = "is empty" if document.values in (None, {}) else f"has {_kind(document.values)} where settings are expected"
    example = "`mlctl recipe demo` shows an example" if kind == "recipe" else f"docs/{kind}.md shows an example"
    raise InputError(f"{path} contains no settings: it {found}", f"write `name: value` lines; {example}")


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else "one value"


def _read_bytes(path: Path, expected: str) -> bytes:
    try:
        mode = path.stat().st_mode
        if kind := next((name for is_kind, name in _KINDS if is_kind(mode)), None):
            raise InputError(f"{path} is {kind}, not a {expected}", "name a YAML file")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        builtin = ", or a built-in recipe: `mlctl recipe --list`" if expected == "recipe" else ""
        raise InputError(f"no {expected} at {path}", f"name a YAML file{builtin}") from None
    except (OSError, ValueError) as error:  # no permission, too long, a link to itself, a NUL
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise InputError(f"{path} cannot be read: {reason}", "check its name and its permissions") from None
    if len(data) > _MAX_BYTES:
        raise InputError(f"{path} is too large for a {expected}: over {_MAX_BYTES:,} bytes", f"name a {expected}, not data")
    return data


def _decode(data: bytes, path: Path) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"{path}, line {line}: byte 0x{data[error.start]:02x} is not {'UTF-16' if encoding == 'utf-16' else 'UTF-8'}"
        raise InputError(problem, "save the file as UTF-8 text") from None
