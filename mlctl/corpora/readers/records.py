"""Records with named columns (JSONL, Parquet): which column holds which side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.scores import read_scores
from mlctl.corpora.readers.selection import PairSelection, language_of
from mlctl.errors import InputError

TRANSLATION = "translation"


class Columns:
    """Finds the two sides in records.

    Two named columns are source and target; one is monolingual text, or a record of texts by language. `a.b` names the field b inside the
    column a. Without names, `translation` is read (texts by language), else the columns whose names are language codes.
    """

    def __init__(self, selection: PairSelection) -> None:
        self._selection = selection
        self._names = selection.column_names
        self._score_columns = selection.score_columns

    def row(self, record: Mapping[str, Any], where: str, origin: str) -> Row | None:
        """Return the row of a record; None if it has no text in the source language, or in the column of monolingual text.

        Raises:
            InputError: a column is missing or does not contain text; the message begins with `where`.
        """
        sides = (self._named if self._names else self._unnamed)(record, where)
        if sides[0] is None:
            return None
        if len(sides) == 1:
            return self._selection.monolingual_row(_text(sides[0], where), origin)
        source, target = _text(sides[0], where), None if sides[1] is None else _text(sides[1], where) or None
        scores = read_scores(self._score_columns, partial(_field_or_none, record), where) if target else None
        return Row(source, target, origin, scores)

    def needed(self, columns: Iterable[str]) -> list[str]:
        """Return the columns of a file that are read; empty: all.

        Raises:
            InputError: the column of a score is missing.
        """
        existing = list(columns)
        scored = [_column_of(column, existing, name) for name, column in self._score_columns.items()]
        texts = self._text_columns(existing)
        return [name for name in existing if name in texts or name in scored] if texts else []

    def _text_columns(self, existing: Sequence[str]) -> list[str]:
        if self._names:
            return [name for name in existing if any(name == column or column.startswith(f"{name}.") for column in self._names)]
        if TRANSLATION in existing:
            return [name for name in existing if name in ("language", TRANSLATION)]
        return [name for name in existing if language_of(name) in self._selection.languages]

    def _named(self, record: Mapping[str, Any], where: str) -> tuple[Any, ...]:
        """Return both sides, or only the text if the one named column does not contain texts by language."""
        values = []
        for name in self._names:
            try:
                values.append(_field(record, name))
            except KeyError:
                raise _missing(record, where, f"no column {name!r}") from None
        by_language = len(values) == 1 and _holds_languages(values[0])
        return self._by_language(values[0], where) if by_language else tuple(values)

    def _unnamed(self, record: Mapping[str, Any], where: str) -> tuple[Any, ...]:
        texts = record if _listed_texts(record) else record.get(TRANSLATION, record)
        if not _holds_languages(texts):
            raise InputError(f"{where}: {TRANSLATION!r} does not contain texts by language", "name the columns with `columns`")
        return self._by_language(texts, where)

    def _by_language(self, texts: Any, where: str) -> tuple[Any, ...]:
        listed = _listed_texts(texts)
        if listed:  # each record has the languages that it has
            by_tag = {language_of(code): text for code, text in reversed(listed)}
            return tuple(map(by_tag.get, self._selection.languages))
        sides = {}
        for tag in self._selection.languages:
            keys = [key for key in texts if language_of(key) == tag]
            if not keys:
                raise _missing(texts, where, f"nothing in {tag!r}")
            sides[tag] = texts[tag if tag in keys else keys[0]]
        return sides[self._selection.source], sides[self._selection.target]


def _field(record: Mapping[str, Any], name: str) -> Any:
    """Return a field of a record; a name that is none of them may be a path with dots (`data.en`). Raises KeyError if it is missing."""
    if name in record:
        return record[name]
    first, dot, rest = name.partition(".")
    inner = record[first]
    if not dot or not isinstance(inner, Mapping):
        raise KeyError(name)
    return _field(inner, rest)


def _field_or_none(record: Mapping[str, Any], name: str) -> Any:
    try:
        return _field(record, name)
    except KeyError:
        return None


def _column_of(column: str, existing: Sequence[str], score: str) -> str:
    """Return the column of a file that contains a score."""
    found = next((name for name in existing if name == column or column.startswith(f"{name}.")), None)
    if found is None:
        listed = ", ".join(map(repr, existing[:8]))
        raise InputError(f"scores: there is no column {column!r} for {score!r}", f"correct `scores`; there are {listed}")
    return found


def _holds_languages(value: Any) -> bool:
    return isinstance(value, Mapping) or bool(_listed_texts(value))


def _listed_texts(value: Any) -> list[tuple[str, Any]]:
    """Return the (code, text) list of texts that are listed with their languages; empty: they are not.

    Either two lists, as the type TranslationVariableLanguages of Hugging Face datasets has them, or a list of objects with the fields
    `language` (or `lang`) and `text`.
    """
    if isinstance(value, Mapping):
        codes, texts = value.get("language"), value.get(TRANSLATION)
        if isinstance(codes, list) and isinstance(texts, list) and len(codes) == len(texts):
            return [(str(code), text) for code, text in zip(codes, texts, strict=True)]
    if isinstance(value, list) and all(isinstance(item, Mapping) and "text" in item for item in value):
        listed = [(item.get("language") or item.get("lang"), item["text"]) for item in value]
        return [(str(code), text) for code, text in listed] if all(code for code, _ in listed) else []
    return []


def _missing(record: Mapping[str, Any], where: str, what: str) -> InputError:
    existing = ", ".join(repr(name) for name in list(record)[:8]) or "nothing"
    return InputError(
        f"{where} has {what}",
        f"it has {existing}: name source and target with `columns: [source, target]` (`a.b`: the field b inside a)",
    )


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        problem = f"{where}: {type(value).__name__} {str(value)[:40]!r} is not text"
        raise InputError(problem, "name another column with `columns` (`a.b`: the field b inside a)")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{where} has a lone surrogate", "fix or remove this text: it is not valid Unicode") from None
    return value
