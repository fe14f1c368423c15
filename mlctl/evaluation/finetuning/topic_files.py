"""Texts with topics in the format of SIB-200: a table with `index_id`, `category` and `text`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from mlctl.errors import InputError
from mlctl.evaluation.data.sources import data_remedy
from mlctl.evaluation.data.tables import table_rows
from mlctl.evaluation.finetuning.examples import LabelledText


def read_topics(file: Path, known: Collection[str], title: str) -> list[LabelledText]:
    """Return the texts of a file.

    Raises:
        InputError: the table is malformed, a topic is unknown, or an id occurs twice; the message names file and line.
    """
    texts, names = list[LabelledText](), set[str]()
    for where, row in table_rows(file, title, ("index_id", "category", "text"), "\t"):
        if row["index_id"] in names:
            raise InputError(f"{where}: the id {row['index_id']} occurs twice", data_remedy(title))
        names.add(row["index_id"])
        texts.append(_text(row, known, where, title))
    if not texts:
        raise InputError(f"{file} has no texts", data_remedy(title))
    return texts


def topic_of_row(row: dict[str, Any], known: Collection[str], title: str) -> LabelledText:
    """Return the text of a row of a data set (Davlan/sib200).

    Raises:
        InputError: columns are missing, or the topic is unknown.
    """
    return _text(row, known, f"{title}, row {str(row)[:120]}", title)


def _text(row: dict[str, Any], known: Collection[str], where: str, title: str) -> LabelledText:
    text, topic = row.get("text"), row.get("category")
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{where} has no text", data_remedy(title))
    if topic not in known:
        raise InputError(f"{where}: {topic!r} is not a topic of {title} ({', '.join(known)})", data_remedy(title))
    return LabelledText(text, str(topic))
