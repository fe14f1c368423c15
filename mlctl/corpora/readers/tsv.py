"""Format `tsv`: source TAB target in each line, or the columns with the numbers in the recipe."""

from __future__ import annotations

from collections.abc import Iterator

from mlctl.corpora.archives.compression import FileLocation
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.lines import read_lines
from mlctl.corpora.readers.selection import PairSelection
from mlctl.errors import InputError


def read(location: FileLocation, selection: PairSelection) -> Iterator[Row]:
    """Yield a row for each line; an empty target column is a text without translation, as is every text if one column is named.

    Raises:
        InputError: also when a line has another number of columns than the first one, or fewer than are read.
    """
    numbers = [int(column) for column in selection.columns] or [1, 2]
    columns = 0
    for number, line in read_lines(location):
        fields = line.split("\t")
        columns = columns or len(fields)
        if len(fields) < max(numbers) or len(fields) != columns:
            raise _wrong_columns(location, number, len(fields), columns, max(numbers))
        text, origin = fields[numbers[0] - 1], f"{location.name}:{number}"
        yield Row(text, fields[numbers[1] - 1] or None, origin) if len(numbers) == 2 else selection.monolingual_row(text, origin)


def _wrong_columns(location: FileLocation, number: int, actual: int, first: int, needed: int) -> InputError:
    expected = f"the {first} columns of line 1" if first >= max(needed, 3) else "source TAB target"
    if first < needed and needed > 2:
        expected = f"at least the {needed} columns that `columns` names"
    return InputError(f"{location}, line {number} has {actual} column(s)", f"each line needs {expected}")
