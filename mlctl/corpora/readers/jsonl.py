"""Format `jsonl`: a JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mlctl.corpora.archives.compression import Place
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.lines import read_lines
from mlctl.corpora.readers.records import Columns
from mlctl.corpora.readers.wanted import Wanted
from mlctl.errors import InputError


def read(place: Place, wanted: Wanted) -> Iterator[Row]:
    """Yield a row an object; a null or empty target is a text without translation, a null source is passed over.

    Raises:
        InputError: also when a line is no JSON object, or has not the columns.
    """
    columns = Columns(wanted)
    for number, line in read_lines(place):
        if line.strip(" \t\r"):
            where = f"{place}, line {number}"
            row = columns.row(_object(line, where), where, f"{place.name}:{number}")
            if row:
                yield row


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is no JSON: {error.msg} (character {error.colno})", "write one JSON object a line") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise InputError(f"{where} cannot be read: {error}", "write one JSON object a line") from None
    if not isinstance(value, dict):
        raise InputError(f"{where} is a {type(value).__name__}, no object", 'write lines such as {"en": "yes", "fr": "oui"}')
    return value
