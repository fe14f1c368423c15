"""Published tables with a header, in which fields can be quoted as in CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlctl.core.text_lines import lines
from mlctl.errors import InputError
from mlctl.evaluation.data.sources import data_remedy


def table_rows(file: Path, title: str, columns: Sequence[str], delimiter: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield where each row is, for messages, and its columns; a quoted field can have several lines.

    Args:
        file: the table, plain or .gz.
        title: of the benchmark, for messages.
        columns: those that every row needs a value in.
        delimiter: between fields.

    Raises:
        InputError: the header lacks a column, a row has another number of fields or no value, or a quotation does not end; the message names file
            and line.
    """
    reader = csv.DictReader(io.StringIO("".join(f"{line}\n" for line in lines(file))), delimiter=delimiter, strict=True)
    first_line = 2
    try:
        if lacking := [name for name in columns if name not in (reader.fieldnames or ())]:
            raise _malformed(f"{file}, line 1 has no column {lacking[0]}", title)
        while (row := next(reader, None)) is not None:
            where, first_line = f"{file}, line {first_line}", reader.line_num + 1
            if None in row or None in row.values():
                raise _malformed(f"{where} has not as many fields as the header", title)
            if lacking := [name for name in columns if not row[name].strip()]:
                raise _malformed(f"{where} has no {lacking[0]}", title)
            yield where, row
    except csv.Error as error:
        raise _malformed(f"{file}, line {first_line}: {error}", title) from None


def _malformed(problem: str, title: str) -> InputError:
    return InputError(problem, data_remedy(title))
