"""Sentence pairs of invented words, on disk as the earlier stages write them, and readers of a result."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.core.workspace import Workspace


def pair(source: str | None, target: str | None, language: str = "fr", origin: str = "x:1") -> dict[str, Any]:
    fixed = {"source_language": "en", "target_language": language, "corpus": "made", "version": "1", "licence": "CC0-1.0"}
    return {**fixed, "source": source, "target": target, "origin": origin, "synthetic": ""}


def mirrored(language: str, rows: int, seed: int = 7) -> list[dict[str, Any]]:
    """Sentences of invented words; the translation is an extra word, then each word reversed and in upper case."""
    draw = random.Random(seed)
    vocabulary = [first + vowel + last for first in "bdfgl" for vowel in "aeiou" for last in "kpt"]
    pairs = []
    for number in range(rows):
        words = draw.sample(vocabulary, draw.randint(3, 9))
        target = " ".join(["Ze", *(word[::-1].upper() for word in words)])
        pairs.append(pair(" ".join(words), target, language, f"x:{number}"))
    return pairs


def write(folder: Path, name: str, rows: Iterable[dict[str, Any]], row_group: int = 100) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema.PAIR), file, row_group_size=row_group)


def workspace(path: Path) -> Workspace:
    path.mkdir(parents=True, exist_ok=True)
    return Workspace(path)


def contents(root: Path) -> dict[str, bytes]:
    files = [file for file in root.rglob("*") if file.is_file() and ".scratch" not in file.parts]
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def linked_words(row: dict[str, Any]) -> list[tuple[str, str]]:
    def word(side: str, index: int) -> str:
        span = row[f"{side}_words"][index]
        return str(row[side][span["start"] : span["end"]])

    return [(word("source", link["source"]), word("target", link["target"])) for link in row["links"]]
