"""Quality scores in the columns of a corpus."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from mlctl.corpora.corpus import Row
from mlctl.errors import InputError
from mlctl.execution.program_text import quote

Column = TypeVar("Column", str, int)

_log = logging.getLogger(__name__)

_LARGEST = 3.4028234e38  # of a float32


def read_scores(columns: Mapping[str, Column], value_of: Callable[[Column], Any], where: str) -> dict[str, float] | None:
    """Return the scores of a row by name; None: it has none.

    Args:
        columns: the column of each score.
        value_of: returns the value in a column; None: there is none.
        where: the row, for messages.

    Raises:
        InputError: a value is not a finite number.
    """
    values = {name: _score(value_of(column), name, where) for name, column in columns.items()}
    return {name: value for name, value in values.items() if value is not None} or None


def warn_of_missing(rows: Iterable[Row], names: Iterable[str], where: str) -> Iterator[Row]:
    """Yield rows, and log a warning at the end for each score that no pair has: its column may be misspelt."""
    missing, pairs = set(names), 0
    for row in rows:
        pairs += row.target is not None
        if missing and row.scores:
            missing.difference_update(row.scores)
        yield row
    for name in sorted(missing) if pairs else ():
        _log.warning("%s: no pair has the score %r: check its column in `scores`", where, name)


def _score(value: Any, name: str, where: str) -> float | None:
    """Return the score that a value is; None: it is empty, or NaN in a column of numbers, as missing values are written there."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        number = _number(value)
    else:
        number = math.inf if isinstance(value, bool) or not isinstance(value, int | float | Decimal) else float(value)
        if math.isnan(number):
            return None
    if not abs(number) <= _LARGEST:
        raise InputError(
            f"{where}: the score {name!r} is {quote(str(value))}, which is not a finite number",
            "fix the value, leave it empty where a pair has no score, or correct the column in `scores`",
        )
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf
