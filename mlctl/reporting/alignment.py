"""Tables about word alignment: statistics of each language and lexicon entries. Pure functions of the align result."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlctl.core.arrow import batches
from mlctl.reporting.json_files import read_json

Row = dict[str, Any]

#: Numbers of links of a word, in the order of the shares in `summary.json`.
LINKS = ("0", "1", "2", "3+")

_BATCH_ROWS = 65_536


def summary_rows(align: Path | None) -> list[Row]:
    """Return the statistics of each language: `language`, pairs, links and so on, all of them numbers."""
    return [
        {"language": language} | {name: value for name, value in statistics.items() if not isinstance(value, list)}
        for language, statistics in _summary(align).items()
    ]


def fertility_rows(align: Path | None) -> list[Row]:
    """Return for each language and side the share of words with 0, 1, 2, 3 or more links: `language`, `side`, `shares`."""
    return [
        {"language": language, "side": side, "shares": statistics[f"{side}_fertility_shares"]}
        for language, statistics in _summary(align).items()
        for side in ("source", "target")
        if f"{side}_fertility_shares" in statistics
    ]


def lexicon_rows(align: Path | None, languages: Sequence[str], limit: int) -> list[tuple[str, list[Row]]]:
    """Return the strongest entries of the lexicon of each language whose model has one, up to `limit` each.

    A row has `source`, `target`, `forward` and `backward` (probability of the one given the other) and `count` (links). Entries that
    are linked often and, in both directions, to hardly anything else come first. Punctuation and numbers are left out.
    """
    tables = []
    for language in languages if align else ():
        file = align / "models" / language / "lexicon.parquet" if align else Path()
        if file.exists():
            tables.append((language, _strongest(file, limit)))
    return [(language, rows) for language, rows in tables if rows]


def _strongest(file: Path, limit: int) -> list[Row]:
    best: list[Row] = []
    for batch in batches(file, batch_rows=_BATCH_ROWS):
        words = [row for row in batch.to_pylist() if _has_letters(row["source"]) and _has_letters(row["target"])]
        best = heapq.nsmallest(limit, [*best, *words], key=_strength_order)
    return best


def _strength_order(row: Mapping[str, Any]) -> tuple[float, str, str]:
    return -row["count"] * row["forward"] * row["backward"], row["source"], row["target"]


def _has_letters(word: str) -> bool:
    return any(character.isalpha() for character in word)


def _summary(align: Path | None) -> dict[str, Row]:
    return dict(read_json(align, "summary.json", {}))
