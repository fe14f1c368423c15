"""Sentence pairs in the formats of XNLI and PAWS-X: `first TAB second TAB label`, or the labels in a separate file.

Nothing is quoted: a quotation mark is a character like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError
from mlctl.evaluation.data.sources import data_remedy
from mlctl.evaluation.finetuning.examples import Pair

UNLABELLED = "-1"  # label of a row without one
_HEADER = ("id", "sentence1", "sentence2", "label")  # of PAWS-X's original format


def read_pairs(file: Path, labels: Path | None, known: Collection[str], title: str) -> list[Pair]:
    """Return the pairs of a file that have a label; rows labelled -1 are left out.

    Args:
        file: the pairs, in XTREME's format or, with its header, in PAWS-X's original one.
        labels: a label a line, for a file without; None: the labels are in the file.
        known: the benchmark's labels.
        title: of the benchmark, for messages.

    Raises:
        InputError: a row has another number of columns or an empty sentence, a label is unknown, or no row has one; the message names
            file and line.
    """
    rows = list(_rows(file, title))
    in_file = [cells[2] if len(cells) > 2 else None for _, cells in rows]
    row_labels: Sequence[str | None] = in_file if labels is None else _read_labels(labels, len(rows), file, title)
    pairs = []
    for (number, cells), label in zip(rows, row_labels, strict=True):
        if label is None:
            raise InputError(f"{file}, line {number} has no label, and there is no file of labels for it", data_remedy(title))
        if label != UNLABELLED and label not in known:
            location = f"{labels or file}, line {number}"
            raise InputError(f"{location}: {label!r} is not a label of {title} ({', '.join(sorted(known))})", data_remedy(title))
        if not (cells[0].strip() and cells[1].strip()):
            raise InputError(f"{file}, line {number} has a sentence without text", data_remedy(title))
        if label != UNLABELLED:
            pairs.append(Pair(cells[0], cells[1], label))
    if not pairs:
        raise InputError(f"{file} has no pair with a label", data_remedy(title))
    return pairs


def pair_of_row(row: dict[str, Any], known: Collection[str], title: str) -> Pair | None:
    """Return the pair of a row of a data set (google/xtreme, xnli, paws-x, multi_nli); None if it has no label.

    Raises:
        InputError: columns are missing, or the label is unknown.
    """
    first, second = row.get("sentence1", row.get("premise")), row.get("sentence2", row.get("hypothesis"))
    label = str(row.get("gold_label", row.get("label")))
    if label == UNLABELLED:
        return None
    if first is None or second is None or label not in known:
        problem = f"{title}: a row is not a pair with a label ({', '.join(known)}): {str(row)[:120]}"
        raise InputError(problem, data_remedy(title))
    return Pair(first, second, label)


def _rows(file: Path, title: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and first, second and perhaps label of each row."""
    has_header = False
    for number, line in numbered_lines(file):
        cells = line.split("\t")
        if number == 1 and tuple(cells) == _HEADER:
            has_header = True
            continue
        cells = cells[1:] if has_header else cells
        if len(cells) not in (2, 3):
            raise InputError(f"{file}, line {number} has {len(cells) + has_header} columns", data_remedy(title))
        yield number, cells


def _read_labels(labels: Path, rows: int, file: Path, title: str) -> list[str]:
    values = [line.strip() for _, line in numbered_lines(labels)]
    if len(values) != rows:
        raise InputError(f"{labels} has {len(values)} labels, but {file} has {rows} rows", data_remedy(title))
    return values
