"""How the text that machines wrote came about: engines, what was measured of them, and what they made. Pure functions of results."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.config import Translate

Row = dict[str, Any]

#: Figures of an engine as the stage writes them: chrF and BLEU in [0, 100], shares in [0, 1].
FIGURES = ("chrf", "bleu", "round_trip_chrf", "empty", "copies", "wrong_language")

_SIGNATURES = b"signatures"


def translation_rows(translate: Path | None) -> list[Row]:
    """Return for each language and direction `engine`, `licence`, the FIGURES (None: not measured), `translated`, `rejected`.

    With several dev sets, the figure is the lowest: it is what the recipe's floor is held against.
    """
    if translate is None:
        return []
    made, rejected = _texts(translate, "pairs"), _texts(translate, "rejected")
    measured = _measured(translate)
    engines = {record["direction"]: record for record in engine_records(translate)}
    return [
        {
            "language": language,
            "direction": direction,
            "engine": engines.get(direction, {}).get("engine", ""),
            "licence": engines.get(direction, {}).get("licence", ""),
            **{name: measured.get((direction, name)) for name in FIGURES},
            "translated": made[language, direction],
            "rejected": rejected[language, direction],
        }
        for language, direction in sorted(made.keys() | rejected.keys())
    ]


def engine_records(translate: Path | None) -> list[Row]:
    """Return `engines.json`: what translated which way, under which licence."""
    path = translate / "engines.json" if translate else None
    return list(json.loads(path.read_text(encoding="utf-8"))) if path and path.exists() else []


def engine_rows(folders: Mapping[str, Path], settings: Translate) -> list[Row]:
    """Return for each direction `engine` (the model by the name that the recipe gives it), `licence` and `training_rows`."""
    trained = _training_rows(folders.get("shard"))
    return [
        {
            "direction": record["direction"],
            "engine": _named(record, settings),
            "licence": record["licence"],
            "training_rows": trained[record["direction"]],
        }
        for record in engine_records(folders.get("translate"))
    ]


def signatures(translate: Path | None) -> dict[str, str]:
    """Return how chrF and BLEU were computed, in sacrebleu's words."""
    path = translate / "quality.parquet" if translate else None
    metadata = (pq.read_schema(path).metadata or {}) if path and path.exists() else {}
    return dict(json.loads(metadata.get(_SIGNATURES, b"{}")))


def _measured(translate: Path) -> dict[tuple[str, str], float]:
    path = translate / "quality.parquet"
    rows = pq.read_table(path).to_pylist() if path.exists() else []
    found: dict[tuple[str, str], float] = {}
    for row in rows:
        place = row["direction"], row["metric"]
        found[place] = min(row["value"], found.get(place, row["value"]))
    return found


def _texts(translate: Path, what: str) -> Counter[tuple[str, str]]:
    """Count the texts of `pairs` or `rejected` by language and direction."""
    counts = Counter[tuple[str, str]]()
    for file in sorted((translate / what).glob("*/*.parquet")):
        for direction, number in _directions(file, rejected=what == "rejected"):
            counts[file.parent.name, direction] += number
    return counts


def _directions(file: Path, rejected: bool = False) -> Iterator[tuple[str, int]]:
    """Yield the directions of the synthetic rows of a file with their numbers: `synthetic` names the side that a machine wrote.

    Rejected text says it by the side that is missing.
    """
    table = pq.read_table(file, columns=["source_language", "target_language", "source" if rejected else "synthetic"])
    back = pc.is_null(table["source"]) if rejected else pc.equal(table["synthetic"], "source")
    kept = table.append_column("back", back)
    kept = kept if rejected else kept.filter(pc.not_equal(kept["synthetic"], ""))
    groups = kept.group_by(["source_language", "target_language", "back"], use_threads=False).aggregate([([], "count_all")])
    for row in groups.to_pylist():
        ends = row["source_language"], row["target_language"]
        yield "→".join(reversed(ends) if row["back"] else ends), row["count_all"]


def _training_rows(shard: Path | None) -> Counter[str]:
    counts = Counter[str]()
    for file in sorted((shard / "train").glob("*.parquet")) if shard else ():
        if "synthetic" in pq.read_schema(file).names:
            counts.update(dict(_directions(file)))
    return counts


def _named(record: Row, settings: Translate) -> str:
    if settings.backend == "none" or not settings.model or settings.pivot:
        return str(record["engine"])
    source, target = record["direction"].split("→")
    return f"{settings.backend} {settings.model.replace('{source}', source).replace('{target}', target)}"
