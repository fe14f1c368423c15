"""Tables about machine translation: backends, their quality, and the number of translated texts. Pure functions of results."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.config import Translate
from mlctl.reporting.json_files import read_json

Row = dict[str, Any]

#: Quality metrics of a backend as the stage writes them: chrF and BLEU in [0, 100], shares in [0, 1].
METRICS = ("chrf", "bleu", "round_trip_chrf", "empty", "copies", "wrong_language", "faulty")

_SIGNATURES = b"signatures"
_USAGE = {"requests": "requests", "input_tokens": "input tokens", "output_tokens": "output tokens"}


def translation_rows(translate: Path | None) -> list[Row]:
    """Return for each language and direction `backend`, `licence`, the METRICS (None: not measured), `translated`, `rejected`.

    With several dev sets, a metric is the lowest of them: the recipe's minimum is compared with that.
    """
    if translate is None:
        return []
    translated, rejected = _count_texts(translate, "pairs"), _count_texts(translate, "rejected")
    quality = _quality(translate)
    backends = {record["direction"]: record for record in backend_records(translate)}
    return [
        {
            "language": language,
            "direction": direction,
            "backend": backends.get(direction, {}).get("name", ""),
            "licence": backends.get(direction, {}).get("licence", ""),
            **{name: quality.get((direction, name)) for name in METRICS},
            "translated": translated[language, direction],
            "rejected": rejected[language, direction],
        }
        for language, direction in sorted(translated.keys() | rejected.keys())
    ]


def backend_records(translate: Path | None) -> list[Row]:
    """Return `backends.json`: name and licence of the backend of each direction."""
    return list(read_json(translate, "backends.json", []))


def backend_rows(folders: Mapping[str, Path], settings: Translate) -> list[Row]:
    """Return for each direction `backend` (the model by its name in the recipe), `licence` and `training_rows`."""
    training_rows = _training_rows(folders.get("shard"))
    return [
        {
            "direction": record["direction"],
            "backend": _backend_name(record, settings),
            "licence": record["licence"],
            "training_rows": training_rows[record["direction"]],
        }
        for record in backend_records(folders.get("translate"))
    ]


def server_usage(metrics: Mapping[str, Any]) -> str:
    """Return what the translations of a server used, in words, from the metrics of the stage; "" for another backend."""
    if "input_tokens" not in metrics:
        return ""
    numbers = (f"{metrics[name]:,} {words}" for name, words in _USAGE.items())
    cost = f", which cost {metrics['cost']:.3g} at the recipe's prices" if metrics["cost"] else ""
    return f"The server {metrics['server']} answered {', '.join(numbers)}{cost}."


def signatures(translate: Path | None) -> dict[str, str]:
    """Return sacrebleu's signatures of chrF and BLEU."""
    path = translate / "quality.parquet" if translate else None
    metadata = (pq.read_schema(path).metadata or {}) if path and path.exists() else {}
    return dict(json.loads(metadata.get(_SIGNATURES, b"{}")))


def _quality(translate: Path) -> dict[tuple[str, str], float]:
    """Return the lowest value of each direction and metric over the dev sets."""
    path = translate / "quality.parquet"
    lowest: dict[tuple[str, str], float] = {}
    for row in pq.read_table(path).to_pylist() if path.exists() else ():
        key = row["direction"], row["metric"]
        lowest[key] = min(row["value"], lowest.get(key, row["value"]))
    return lowest


def _count_texts(translate: Path, subfolder: str) -> Counter[tuple[str, str]]:
    """Count the texts in `pairs` or `rejected` by language and direction."""
    counts = Counter[tuple[str, str]]()
    for file in sorted((translate / subfolder).glob("*/*.parquet")):
        for direction, count in _directions(file, rejected=subfolder == "rejected"):
            counts[file.parent.name, direction] += count
    return counts


def _directions(file: Path, rejected: bool = False) -> Iterator[tuple[str, int]]:
    """Yield the directions of the synthetic rows of a file with their counts: `synthetic` is the translated side.

    In rejected text without output it is the missing side.
    """
    columns = ["source_language", "target_language", "synthetic", *(["source"] if rejected else [])]
    table = pq.read_table(file, columns=columns)
    backward = pc.equal(table["synthetic"], "source")
    backward = pc.or_(backward, pc.is_null(table["source"])) if rejected else backward
    rows = table.append_column("backward", backward)
    rows = rows if rejected else rows.filter(pc.not_equal(rows["synthetic"], ""))
    groups = rows.group_by(["source_language", "target_language", "backward"], use_threads=False)
    for row in groups.aggregate([([], "count_all")]).to_pylist():
        languages = row["source_language"], row["target_language"]
        yield "→".join(reversed(languages) if row["backward"] else languages), row["count_all"]


def _training_rows(shard: Path | None) -> Counter[str]:
    """Count the training rows of each direction of machine translation."""
    counts = Counter[str]()
    for file in sorted((shard / "train").glob("*.parquet")) if shard else ():
        if "synthetic" in pq.read_schema(file).names:
            counts.update(dict(_directions(file)))
    return counts


def _backend_name(record: Row, settings: Translate) -> str:
    if settings.backend == "none" or not settings.model or settings.pivot:
        return str(record["name"])
    source, target = record["direction"].split("→")
    return f"{settings.backend} {settings.model.replace('{source}', source).replace('{target}', target)}"
