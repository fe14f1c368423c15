"""Published JSON files: one value, or one a line; plain or .gz."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError
from mlctl.evaluation.data.sources import data_remedy


def read_json(file: Path, title: str) -> Any:
    """Return the value of a file.

    Raises:
        InputError: it is not JSON.
    """
    opened = gzip.open if file.suffix == ".gz" else open
    try:
        with opened(file, "rt", encoding="utf-8") as stream:
            return json.load(stream)
    except (ValueError, OSError, EOFError, RecursionError) as error:
        raise InputError(f"{file} is not JSON in UTF-8: {error}", data_remedy(title)) from None


def json_lines(file: Path, title: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where each line is, for messages, and its object; blank lines are skipped.

    Raises:
        InputError: a line is not a JSON object; the message names file and line.
    """
    for number, line in numbered_lines(file):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is not JSON: {error}", data_remedy(title)) from None
        if not isinstance(value, dict):
            raise InputError(f"{where} is not a JSON object", data_remedy(title))
        yield where, value


def text_of(value: Any) -> str:
    """Return a value that has to be text.

    Raises:
        TypeError: it is not.
        ValueError: it has a lone surrogate.
    """
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is not text")
    value.encode()
    return value


def describe(error: Exception) -> str:
    """Describe what is wrong with an object, by the error of reading it."""
    return f"no {error}" if isinstance(error, KeyError) else str(error)
