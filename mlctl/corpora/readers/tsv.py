"""Format `tsv`: source TAB target in each line, or the columns with the numbers or names in the recipe."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator, Sequence

from mlctl.corpora.archives.compression import FileLocation
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.lines import read_lines
from mlctl.corpora.readers.scores import read_scores
from mlctl.corpora.readers.selection import PairSelection, language_of
from mlctl.errors import InputError
from mlctl.languages import name as language_name

log = logging.getLogger(__name__)

# Names of columns in header lines, source and target side.
_HEADERS = (("source", "target"), ("src", "tgt"), ("src", "trg"), ("source_text", "target_text"), ("sentence1", "sentence2"))
_NUMBER_OR_URL = re.compile(r"[-+]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?|https?://\S+")


def read(location: FileLocation, selection: PairSelection) -> Iterator[Row]:
    """Yield a row for each line; an empty target column is a text without translation, as is every text if one column is named.

    A line without text (a paragraph break) is skipped. A first line with the names of columns is not text.

    Raises:
        InputError: also when a line has another number of columns than the first one, or fewer than are read; when the header has no
            column of that name; when the first columns are not text and `columns` does not say which are; when a score is no number.
    """
    lines = read_lines(location)
    first = next(lines, None)
    if first is None:
        return
    fields = first[1].split("\t")
    header = _header(fields, selection)
    numbers = _numbers(fields, header, location, selection)
    scores = _score_indices(fields, location, selection)
    is_header = bool(header) or any(not column.isdecimal() for column in selection.scores.values())
    needed = max([*numbers, *(index + 1 for index in scores.values())])
    columns = empty = 0
    for number, line in lines if is_header else itertools.chain([first], lines):
        if not line.strip(" \t\r"):
            empty += 1
            continue
        fields = line.split("\t")
        columns = columns or len(fields)
        if len(fields) < needed or len(fields) != columns:
            raise _wrong_columns(location, number, len(fields), columns, needed)
        text, origin = fields[numbers[0] - 1], f"{location.name}:{number}"
        if len(numbers) < 2:
            yield selection.monolingual_row(text, origin)
            continue
        target = fields[numbers[1] - 1] or None
        yield Row(text, target, origin, read_scores(scores, fields.__getitem__, f"{location}, line {number}") if target else None)
    if empty:
        log.info("%s: %d empty lines (paragraph breaks) skipped", location.name, empty)


def _header(fields: Sequence[str], selection: PairSelection) -> tuple[int, ...]:
    """Return the numbers of the columns of both sides (of the text, if one is named) in a header line; empty: it is no header."""
    names = [field.strip() for field in fields]
    if _is_named(selection):
        requested = selection.column_names
        return tuple(names.index(name) + 1 for name in requested) if set(requested) <= set(names) else ()
    sides = [[index for index, name in enumerate(names, 1) if _is_language(name, tag)] for tag in selection.languages]
    if all(len(side) == 1 for side in sides):
        return sides[0][0], sides[1][0]
    lower = [name.lower() for name in names]
    pair = next((pair for pair in _HEADERS if all(lower.count(name) == 1 for name in pair)), None)
    return (lower.index(pair[0]) + 1, lower.index(pair[1]) + 1) if pair else ()


def _is_language(column: str, tag: str) -> bool:
    """Return whether a column is named by a language: `en`, `eng_Latn`, `sentence_en`, `English`."""
    codes = (column, column.rpartition("_")[2])
    return tag in map(language_of, codes) or column.casefold() == language_name(tag).casefold()


def _numbers(fields: Sequence[str], header: tuple[int, ...], location: FileLocation, selection: PairSelection) -> tuple[int, ...]:
    """Return the numbers of the columns to read; numbers in the recipe go before the header."""
    if _is_named(selection):
        if not header:
            problem = f"{location}, line 1 has no columns {', '.join(map(repr, selection.column_names))}"
            raise InputError(problem, f"it has {', '.join(map(repr, fields[:8]))}; correct `columns`")
        return header
    if selection.columns:
        return tuple(map(int, selection.columns))
    if not header and len(fields) > 2 and any(map(_NUMBER_OR_URL.fullmatch, fields[:2])):
        problem = (
            f"{location}, line 1 has {len(fields)} columns, and the first two are not both text: {fields[0]!r}, {fields[1]!r}"
        )
        raise InputError(problem, "name the columns of source and target, for example `columns: [2, 3]`")
    return header or (1, 2)


def _score_indices(fields: Sequence[str], location: FileLocation, selection: PairSelection) -> dict[str, int]:
    """Return the index of each score's column, from 0; with a name among them the first line is a header."""
    names, indices = [field.strip() for field in fields], {}
    for score, column in selection.score_columns.items():
        if not column.isdecimal() and column not in names:
            problem = f"{location}, line 1 has no column {column!r} for the score {score!r}"
            raise InputError(problem, f"it has {', '.join(map(repr, fields[:8]))}; correct `scores`")
        indices[score] = int(column) - 1 if column.isdecimal() else names.index(column)
    return indices


def _is_named(selection: PairSelection) -> bool:
    return any(not column.isdecimal() for column in selection.columns)


def _wrong_columns(location: FileLocation, number: int, actual: int, first: int, needed: int) -> InputError:
    expected = f"the {first} columns of line 1" if first >= max(needed, 3) else "source TAB target"
    if first < needed and needed > 2:
        expected = f"at least the {needed} columns that `columns` names"
    csv = " (CSV is read by kind `huggingface`)" if location.suffix == ".csv" else ""
    return InputError(f"{location}, line {number} has {actual} column(s)", f"each line needs {expected}{csv}")
