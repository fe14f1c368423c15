"""Records with named columns (JSONL, Parquet): which column holds which side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.wanted import Wanted, language_of
from mlctl.errors import InputError

TRANSLATION = "translation"


class Columns:
    """Finds the two sides in records.

    Named columns count first: two names are source and target, one name is a text, or a record of texts by language. Without names it
    is `translation` (texts by language), else the columns that are named by language codes.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._names = tuple(
            name.replace("{target}", wanted.target).replace("{language}", tag)
            for name, tag in zip(wanted.columns, _tags(wanted), strict=False)
        )

    def row(self, record: Mapping[str, Any], where: str, origin: str) -> Row | None:
        """Return the row of a record; None where it has no text in the source language, or in the column of texts alone.

        Raises:
            InputError: a column is missing or holds no text; the message begins with `where`.
        """
        sides = (self._named if self._names else self._found)(record, where)
        if sides[0] is None:
            return None
        if len(sides) == 1:
            return self._wanted.alone(_text(sides[0], where), origin)
        return Row(_text(sides[0], where), None if sides[1] is None else _text(sides[1], where) or None, origin)

    def needed(self, columns: Iterable[str]) -> list[str]:
        """Return which of a file's columns are read at all."""
        there = list(columns)
        if self._names:
            return [name for name in there if name in self._names]
        codes = (self._wanted.source, self._wanted.target)
        return [TRANSLATION] if TRANSLATION in there else [name for name in there if language_of(name) in codes]

    def _named(self, record: Mapping[str, Any], where: str) -> tuple[Any, ...]:
        """Return both sides, or the text alone where one column is named that has no texts by language."""
        missing = [name for name in self._names if name not in record]
        if missing:
            raise _lacks(record, where, f"no column {missing[0]!r}")
        values = [record[name] for name in self._names]
        by_language = len(values) == 1 and isinstance(values[0], Mapping)
        return self._by_language(values[0], where) if by_language else tuple(values)

    def _found(self, record: Mapping[str, Any], where: str) -> tuple[Any, ...]:
        texts = record.get(TRANSLATION, record)
        if not isinstance(texts, Mapping):
            raise InputError(f"{where}: {TRANSLATION!r} holds no texts by language", "name the columns with `columns`")
        return self._by_language(texts, where)

    def _by_language(self, texts: Mapping[str, Any], where: str) -> tuple[Any, ...]:
        found = {}
        for tag in (self._wanted.source, self._wanted.target):
            keys = [key for key in texts if language_of(key) == tag]
            if not keys:
                raise _lacks(texts, where, f"nothing in {tag!r}")
            found[tag] = texts[tag if tag in keys else keys[0]]
        return found[self._wanted.source], found[self._wanted.target]


def _tags(wanted: Wanted) -> tuple[str, ...]:
    """Return the language that {language} stands for in each column's name."""
    alone = len(wanted.columns) == 1 and wanted.side == "target"
    return (wanted.target,) if alone else (wanted.source, wanted.target)


def _lacks(record: Mapping[str, Any], where: str, what: str) -> InputError:
    there = ", ".join(repr(name) for name in list(record)[:8]) or "nothing"
    return InputError(f"{where} has {what}", f"it has {there}: name source and target with `columns: [source, target]`")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: {type(value).__name__} {str(value)[:40]!r} is no text", "name another column with `columns`")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{where} has half of a surrogate pair", "mend or drop this text: it is no Unicode") from None
    return value
