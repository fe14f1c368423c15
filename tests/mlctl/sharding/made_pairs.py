"""Made-up aligned pairs for the tests of sharding."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.config import Languages, Model, ScratchModel, Shard
from mlctl.core.workspace import Workspace

LANGUAGES = Languages(targets=("fr", "de"))
MODEL = Model(scratch=ScratchModel(vocabulary=400))
SETTINGS = Shard(max_length=24, rows_per_shard=50, heldout_pairs=20, heldout_min_words=3, stop_words=2)
VOCABULARY = ["".join(letters) for letters in itertools.product("bdfgk", "aeiou", "lmnrst", "ao")]


def spans(text: str) -> list[dict[str, int]]:
    ends = list(itertools.accumulate(text.split(" "), lambda end, word: end + 1 + len(word), initial=-1))
    return [{"start": start + 1, "end": end} for start, end in itertools.pairwise(ends)]


def row(source: str, target: str, language: str = "fr", **changes: Any) -> dict[str, Any]:
    """An aligned pair of words apart by a space; word i is linked to word i."""
    number = min(len(source.split(" ")), len(target.split(" ")))
    links = changes.pop("links", [{"source": word, "target": word} for word in range(number)])
    return {
        "source_language": "en",
        "target_language": language,
        "source": source,
        "target": target,
        "corpus": "made",
        "version": "1",
        "licence": "CC0-1.0",
        "origin": "x:1",
        "synthetic": "",
        "source_words": spans(source),
        "target_words": spans(target),
        "links": links,
        "confidences": [1.0] * len(links),
        **changes,
    }


def made(language: str, rows: int) -> list[dict[str, Any]]:
    """Sentences of random words, those of all languages alike; some come again with other case, punctuation or on the other side."""
    draw = random.Random(1)
    pairs = []
    for number in range(rows):
        words = draw.sample(VOCABULARY, draw.randint(2, 8))
        target = [f"{word}{language}" for word in words]
        pairs.append(row(" ".join(["the", *words]), " ".join(["le", *target]), language))
        if number % 10 == (0 if language == "fr" else 5):
            pairs.append(row(" ".join(["The", *words, "!"]), " ".join(["le", *target, "ok"]), language))
        if number % 10 == 2:
            pairs.append(row(" ".join(["again", *words]), " ".join(["THE", *words, "."]), language))
    return pairs


def write(folder: Path, rows: dict[str, list[dict[str, Any]]]) -> Path:
    (folder / "pairs").mkdir(parents=True)
    for language, pairs in rows.items():
        pq.write_table(pa.Table.from_pylist(pairs, schema=schema.ALIGNED), folder / "pairs" / f"{language}.parquet")
    return folder


def workspace(path: Path) -> Workspace:
    path.mkdir(parents=True, exist_ok=True)
    return Workspace(path)


def contents(root: Path) -> dict[str, bytes]:
    files = [file for file in root.rglob("*") if file.is_file() and ".scratch" not in file.parts]
    return {str(file.relative_to(root)): file.read_bytes() for file in files}


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [item for file in sorted(folder.glob("*.parquet")) for item in pq.read_table(file).to_pylist()]
