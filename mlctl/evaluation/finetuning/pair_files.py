"""Sentence pairs as XNLI and PAWS-X are published: `first TAB second TAB label`, or the labels in a file of their own.

Nothing is quoted: a quotation mark is a character like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError
from mlctl.evaluation.finetuning.examples import Pair
from mlctl.evaluation.tasks.base import complaint

UNKNOWN = "-1"  # label of a row that nobody labelled
_HEADER = ("id", "sentence1", "sentence2", "label")  # of PAWS-X's own form


def read_pairs(file: Path, labels: Path | None, known: Collection[str], name: str) -> list[Pair]:
    """Return the pairs of a file that have a label; rows labelled -1 are left out.

    Args:
        file: the pairs, in XTREME's form or, with its header, in PAWS-X's own.
        labels: a label a line, for a file without; None: the labels are in the file.
        known: the labels there are.
        name: of the benchmark, for messages.

    Raises:
        InputError: a row has not so many columns, or a label is unknown; the message names file and line.
    """
    rows = list(_rows(file, name))
    found = (
        [cells[2] if len(cells) > 2 else None for _, cells in rows] if labels is None else _labels(labels, len(rows), file, name)
    )
    pairs = []
    for (number, cells), label in zip(rows, found, strict=True):
        if label is None:
            raise InputError(f"{file}, line {number} has no label, and there is no file of labels for it", complaint(name))
        if label != UNKNOWN and label not in known:
            there = f"{file}, line {number}" if labels is None else f"{labels}, line {number}"
            raise InputError(f"{there}: {label!r} is no label of {name} ({', '.join(sorted(known))})", complaint(name))
        if label != UNKNOWN:
            pairs.append(Pair(cells[0], cells[1], label))
    return pairs


def pair_of_row(row: dict[str, Any], known: Collection[str], name: str) -> Pair | None:
    """Return the pair of a row of a data set (google/xtreme, xnli, paws-x, multi_nli); None where nobody labelled it.

    Raises:
        InputError: columns are missing, or the label is unknown.
    """
    first, second = (row.get(f"sentence{number}", row.get(other)) for number, other in ((1, "premise"), (2, "hypothesis")))
    label = str(row.get("gold_label", row.get("label")))
    if label == UNKNOWN:
        return None
    if first is None or second is None or label not in known:
        raise InputError(f"{name}: a row is no pair with a label ({', '.join(known)}): {str(row)[:120]}", complaint(name))
    return Pair(first, second, label)


def _rows(file: Path, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and first, second and perhaps label of each row."""
    own = False
    for number, line in numbered_lines(file):
        cells = line.split("\t")
        if number == 1 and tuple(cells) == _HEADER:
            own = True
            continue
        cells = cells[1:] if own else cells
        if len(cells) not in (2, 3):
            raise InputError(f"{file}, line {number} has {len(cells) + own} columns", complaint(name))
        yield number, cells


def _labels(labels: Path, rows: int, file: Path, name: str) -> list[str]:
    found = [line.strip() for _, line in numbered_lines(labels)]
    if len(found) != rows:
        raise InputError(f"{labels} has {len(found)} labels, but {file} has {rows} rows", complaint(name))
    return found
