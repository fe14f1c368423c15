"""Which entries of `provenance.json` belong to which source of the recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlctl.config import LocalesSource, OpusSource, Source

Record = Mapping[str, Any]

_SIDES = ("pairs", "untranslated")


def records_by_source(sources: Sequence[Source], records: Sequence[Record]) -> list[list[Record]]:
    """Return the records of the corpora of each source.

    Args:
        sources: `download.sources` of the recipe.
        records: content of `provenance.json`, whose order is that of the sources.
    """
    remaining = list(records)
    found = []
    for number, source in enumerate(sources):
        count = _corpora(source, sources[number + 1 :], remaining)
        found.append(remaining[:count])
        remaining = remaining[count:]
    return found


def rows_of(records: Iterable[Record], language: str | None = None) -> int:
    """Return the number of downloaded rows, pairs and untranslated ones, of a target language; None: of all."""
    counts = (record[side] for record in records for side in _SIDES)
    return sum(rows for by_language in counts for target, rows in by_language.items() if language in (None, target))


def languages_of(records: Iterable[Record]) -> set[str]:
    """Return the target languages with downloaded rows."""
    counts = (record[side] for record in records for side in _SIDES)
    return {target for by_language in counts for target, rows in by_language.items() if rows}


def _corpora(source: Source, later: Sequence[Source], records: Sequence[Record]) -> int:
    """Return the number of corpora of a source: one, one for each package, or for each release of a corpus of OPUS that was needed."""
    if isinstance(source, LocalesSource):
        return len(source.packages)
    if not isinstance(source, OpusSource):
        return 1
    same = next((n for n, record in enumerate(records) if not _is_of_opus(record, source.corpus)), len(records))
    others = next(
        (n for n, other in enumerate(later) if not (isinstance(other, OpusSource) and other.corpus == source.corpus)), len(later)
    )
    return max(1, same - others)


def _is_of_opus(record: Record, corpus: str) -> bool:
    return bool(record["kind"] == "opus" and record["corpus"] == corpus)
