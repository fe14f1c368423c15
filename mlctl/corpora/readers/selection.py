"""The language pair and columns to read from a file, and rows from units with texts by language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from mlctl.config import Side
from mlctl.corpora.archives.compression import FileLocation
from mlctl.corpora.corpus import Row
from mlctl.errors import InputError
from mlctl.languages import canonical

_CODE = re.compile(r"[A-Za-z0-9]{1,8}(?:[-_@.][A-Za-z0-9]{1,8})*")


@dataclass(frozen=True)
class PairSelection:
    """What is read from a file.

    Attributes:
        source: canonical tag.
        target: canonical tag.
        columns: names or numbers of the columns, for formats with columns; empty: see the readers.
        side: language of monolingual text.
        scores: columns (tmx: types of <prop>) of quality scores, by the score's name.
    """

    source: str
    target: str
    columns: tuple[str, ...] = ()
    side: Side = "source"
    scores: Mapping[str, str] = field(default_factory=dict)

    @property
    def languages(self) -> tuple[str, str]:
        """Source and target."""
        return self.source, self.target

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns with {language} and {target} replaced: {language} is the language of the column's text."""
        is_target_text = len(self.columns) == 1 and self.side == "target"
        tags = (self.target,) if is_target_text else self.languages
        return tuple(
            name.replace("{target}", self.target).replace("{language}", tag)
            for name, tag in zip(self.columns, tags, strict=False)
        )

    @property
    def score_columns(self) -> dict[str, str]:
        """The columns of scores, with {target} replaced."""
        return {name: column.replace("{target}", self.target) for name, column in self.scores.items()}

    def monolingual_row(self, text: str, origin: str) -> Row:
        """Return the row of a text without translation."""
        return Row(text, None, origin) if self.side == "source" else Row(None, text, origin)


class Unit(NamedTuple):
    """A numbered unit of a file: its texts by language, and its scores (None: it has none)."""

    number: int
    texts: Mapping[str, str]
    scores: Mapping[str, float] | None = None


@lru_cache(maxsize=4096)  # bounded: a file may contain any number of codes
def language_of(code: str) -> str | None:
    """Return the canonical tag of a code in a file; None if it is not a language."""
    try:
        return canonical(code) if _CODE.fullmatch(code) else None
    except InputError:
        return None


def select_rows(units: Iterable[Unit], location: FileLocation, selection: PairSelection) -> Iterator[Row]:
    """Yield the rows of units; a unit without text in the source language is skipped.

    Raises:
        InputError: at the end, if the file has no text in a language of the pair (unless it has none at all).
    """
    seen: set[str] = set()
    for number, texts, scores in units:
        seen.update(texts)
        if source := texts.get(selection.source):
            target = texts.get(selection.target) or None
            yield Row(source, target, f"{location.name}#{number}", scores if target else None)
    for tag in (selection.source, selection.target):
        if seen and tag not in seen:
            listed = ", ".join(sorted(seen)[:12])
            raise InputError(
                f"{location} has no text in {tag!r}", f"it has {listed}; correct the path, or set the source's targets"
            )
