"""What is wanted of a file, and how texts by language become a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from mlctl.config import Side
from mlctl.corpora.archives.compression import Place
from mlctl.corpora.corpus import Row
from mlctl.errors import InputError
from mlctl.languages import canonical


@dataclass(frozen=True)
class Wanted:
    """A language pair (canonical tags), the columns it stands in where the format has columns, and the side that a text alone is."""

    source: str
    target: str
    columns: tuple[str, ...] = ()
    side: Side = "source"

    def alone(self, text: str, origin: str) -> Row:
        """Return the row of a text without translation."""
        return Row(text, None, origin) if self.side == "source" else Row(None, text, origin)


@lru_cache(maxsize=4096)  # bounded: the codes are whatever a file says
def language_of(code: str) -> str | None:
    """Return the canonical tag of a code as a file writes it; None where it names no language."""
    try:
        return canonical(code)
    except InputError:
        return None


def pick(units: Iterable[tuple[int, Mapping[str, str]]], place: Place, wanted: Wanted) -> Iterator[Row]:
    """Turn numbered units, each a text by language, into rows; a unit without text in the source language is passed over.

    Raises:
        InputError: at the end, when the file has languages and one of the pair is not among them.
    """
    seen: set[str] = set()
    for number, texts in units:
        seen.update(texts)
        if source := texts.get(wanted.source):
            yield Row(source, texts.get(wanted.target) or None, f"{place.name}#{number}")
    for tag in (wanted.source, wanted.target):
        if seen and tag not in seen:
            listed = ", ".join(sorted(seen)[:12])
            raise InputError(f"{place} has no text in {tag!r}", f"it has {listed}; mend the path, or set the source's targets")
