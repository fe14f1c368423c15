"""How words are linked: figures of each language, and what translates what. Pure functions of the align result."""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlctl.core.arrow import batches

Row = dict[str, Any]

#: Words with no link, one, two, and three or more, as the summary lists their shares.
LINKS = ("0", "1", "2", "3+")

_ROWS_AT_ONCE = 65_536


def summary_rows(align: Path | None) -> list[Row]:
    """Return the figures of each language: `language`, pairs, links and so on, all of them numbers."""
    return [
        {"language": language} | {name: value for name, value in figures.items() if not isinstance(value, list)}
        for language, figures in _summary(align).items()
    ]


def fertility_rows(align: Path | None) -> list[Row]:
    """Return for each language and side the share of words with 0, 1, 2, 3 or more links: `language`, `side`, `shares`."""
    return [
        {"language": language, "side": side, "shares": figures[f"{side}_words"]}
        for language, figures in _summary(align).items()
        for side in ("source", "target")
        if f"{side}_words" in figures
    ]


def lexicon_rows(align: Path | None, languages: Sequence[str], most: int) -> list[tuple[str, list[Row]]]:
    """Return the strongest entries of the lexicon of each language whose model has one, up to `most` each.

    A row has `source`, `target`, `forward` and `backward` (probability of the one given the other) and `count` (links). Those come first that are linked often and, in both directions, to hardly anything else. Signs and numbers are left out.
    """
    found = []
    for language in languages if align else ():
        file = align / "models" / language / "lexicon.parquet" if align else Path()
        if file.exists():
            found.append((language, _strongest(file, most)))
    return [(language, rows) for language, rows in found if rows]


def _strongest(file: Path, most: int) -> list[Row]:
    best: list[Row] = []
    for batch in batches(file, batch_rows=_ROWS_AT_ONCE):
        words = [row for row in batch.to_pylist() if _has_letters(row["source"]) and _has_letters(row["target"])]
        best = heapq.nsmallest(most, [*best, *words], key=_weakness)
    return best


def _weakness(row: Mapping[str, Any]) -> tuple[float, str, str]:
    return -row["count"] * row["forward"] * row["backward"], row["source"], row["target"]


def _has_letters(word: str) -> bool:
    return any(character.isalpha() for character in word)


def _summary(align: Path | None) -> dict[str, Row]:
    file = align / "summary.json" if align else None
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file and file.exists() else {}
