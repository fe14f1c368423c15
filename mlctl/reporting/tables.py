"""Results as plain rows: what the page draws and the command line prints. Pure functions of result folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlctl.errors import InputError

Row = dict[str, Any]

_UNTRANSLATED, _TRANSLATED = "segments without translation", "pairs made by machine translation"
_OPTIONAL = (_UNTRANSLATED, _TRANSLATED)
_PLACES = (
    ("download", "segments collected", "pairs/*/*.parquet"),
    ("clean", "pairs good enough", "pairs/*.parquet"),
    ("clean", _UNTRANSLATED, "untranslated/*.parquet"),
    ("translate", _TRANSLATED, "pairs/*/*.parquet"),
    ("align", "pairs with aligned words", "pairs/*.parquet"),
    ("shard", "training rows", "train/*.parquet"),
    ("shard", "held-out pairs", "heldout/*.parquet"),
)


def benchmark_rows(evaluated: Path) -> list[Row]:
    """Return the benchmark table of an evaluate result: rows of `schema.DIFFERENCES`, one for each task and language.

    Figures are shares in [0, 1], means over seeds.

    Raises:
        InputError: the folder holds no scores.
    """
    return list(_read(evaluated / "differences.parquet").to_pylist())


def mean_rows(evaluated: Path) -> list[Row]:
    """Return the mean over languages of each task: rows of `schema.AVERAGES`. English, which benchmarks learn from, is in none.

    Raises:
        InputError: the folder holds no scores.
    """
    return list(_read(evaluated / "averages.parquet").to_pylist())


def score_rows(evaluated: Path) -> list[Row]:
    """Return every figure that was taken: `task, language, direction, metric, items, base, trained` (means over seeds).

    Raises:
        InputError: the folder holds no scores.
    """
    found: dict[tuple[str, ...], Row] = {}
    for row in _read(evaluated / "scores.parquet").to_pylist():
        place = {name: row[name] for name in ("task", "language", "direction", "metric")}
        several = found.setdefault(tuple(place.values()), {**place, "items": row["items"], "base": [], "trained": []})
        several[row["model"]].append(row["value"])
    return [{**row, **{name: sum(row[name]) / len(row[name]) for name in ("base", "trained")}} for row in found.values()]


def protocol(evaluated: Path) -> dict[str, Any]:
    """Return how was judged (`protocol.json`): the benchmarks' cards and settings, each model's pooling, notes of the tasks.

    Raises:
        InputError: the folder holds no scores.
    """
    path = evaluated / "protocol.json"
    if not path.exists():
        raise _no_scores(path)
    return dict(json.loads(path.read_text(encoding="utf-8")))


def funnel_rows(folders: Iterable[Path]) -> list[Row]:
    """Return every rule of the given stages in order: `stage, language, rule, rows_in, rows_out, dropped`.

    Folders without `funnel.parquet` are passed over.
    """
    tables = [pq.read_table(path).to_pylist() for folder in folders if (path := folder / "funnel.parquet").exists()]
    return [{**row, "dropped": row["rows_in"] - row["rows_out"]} for rows in tables for row in rows]


def rule_rows(rows: Iterable[Row]) -> list[Row]:
    """Add `funnel_rows` up over languages: `stage, rule, rows_in, rows_out, dropped, languages` ({language: dropped})."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        empty = {"stage": row["stage"], "rule": row["rule"], "rows_in": 0, "rows_out": 0, "dropped": 0, "languages": {}}
        rule = found.setdefault((row["stage"], row["rule"]), empty)
        for name in ("rows_in", "rows_out", "dropped"):
            rule[name] += row[name]
        rule["languages"][row["language"]] = rule["languages"].get(row["language"], 0) + row["dropped"]
    return list(found.values())


def rule_reasons(folder: Path | None) -> dict[str, str]:
    """Return what each rule of a stage drops, in words, where the stage says it (`reasons.json`)."""
    path = folder / "reasons.json" if folder else None
    reasons: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
    return reasons


def total_rows(folders: Mapping[str, Path]) -> list[Row]:
    """Return what lies behind each data stage: `stage, what, rows`, counted from the files themselves."""
    counted = [
        {
            "stage": stage,
            "what": what,
            "rows": sum(pq.read_metadata(file).num_rows for file in sorted(folders[stage].glob(pattern))),
        }
        for stage, what, pattern in _PLACES
        if stage in folders
    ]
    return [row for row in counted if row["rows"] or row["what"] not in _OPTIONAL]


def corpus_rows(download: Path) -> list[Row]:
    """Return the corpora of a download result: `corpus, kind, version, licence, address, sha256, pairs, untranslated`."""
    path = download / "provenance.json"
    return list(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else []


def _read(path: Path) -> Any:
    if not path.exists():
        raise _no_scores(path)
    return pq.read_table(path)


def _no_scores(path: Path) -> InputError:
    return InputError(f"no scores at {path}", "run the evaluate stage")
