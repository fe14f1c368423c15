"""Format `jsonl`: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mlctl.corpora.archives.compression import FileLocation
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.lines import read_lines
from mlctl.corpora.readers.records import Columns
from mlctl.corpora.readers.selection import PairSelection
from mlctl.errors import InputError


def read(location: FileLocation, selection: PairSelection) -> Iterator[Row]:
    """Yield a row for each object; a null or empty target is a text without translation, a null source is skipped.

    Raises:
        InputError: also when a line is not a JSON object, or lacks the columns.
    """
    columns = Columns(selection)
    for number, line in read_lines(location):
        if line.strip(" \t\r"):
            where = f"{location}, line {number}"
            row = columns.row(_object(line, where), where, f"{location.name}:{number}")
            if row:
                yield row


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where} is not JSON: {error.msg} (character {error.colno})",
            "write one JSON object per line (for an array: `jq -c '.[]'`)",
        ) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise InputError(f"{where} cannot be read: {error}", "write one JSON object per line") from None
    if not isinstance(value, dict):
        raise InputError(f"{where} is a {type(value).__name__}, not an object", 'write lines such as {"en": "yes", "fr": "oui"}')
    return value
