"""Tables of results as plain rows, for the page and the command line. Pure functions of result folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlctl.errors import InputError
from mlctl.reporting.json_files import read_json

Row = dict[str, Any]

_MODELS = ("base", "base_same_pooling", "trained")
_UNTRANSLATED, _TRANSLATED = "untranslated segments", "machine-translated pairs"
_DEV = "dev pairs"
_SHOWN_IF_ANY = (_UNTRANSLATED, _TRANSLATED, _DEV)
# Stage, label (part of figures.json) and files of each total.
_TOTALS = (
    ("download", "downloaded segments", "pairs/*/*.parquet"),
    ("clean", "pairs after filtering", "pairs/*.parquet"),
    ("clean", _UNTRANSLATED, "untranslated/*.parquet"),
    ("translate", _TRANSLATED, "pairs/*/*.parquet"),
    ("align", "word-aligned pairs", "pairs/*.parquet"),
    ("shard", "training rows", "train/*.parquet"),
    ("shard", "held-out pairs", "heldout/*.parquet"),
    ("shard", _DEV, "dev/*.parquet"),
)


def benchmark_rows(evaluated: Path) -> list[Row]:
    """Return the benchmark table of an evaluate result: rows of `schema.DIFFERENCES`, one for each task and language.

    Scores are shares in [0, 1], means over seeds.

    Raises:
        InputError: the folder holds no scores.
    """
    return list(_read(evaluated / "differences.parquet").to_pylist())


def mean_rows(evaluated: Path) -> list[Row]:
    """Return the mean over languages of each task: rows of `schema.AVERAGES`, without English, the fine-tuning language.

    Raises:
        InputError: the folder holds no scores.
    """
    return list(_read(evaluated / "averages.parquet").to_pylist())


def score_rows(evaluated: Path) -> list[Row]:
    """Return every score: `task, language, direction, metric, items, base, base_same_pooling, trained` (means over seeds).

    `base_same_pooling` is None where it is the same as `base`.

    Raises:
        InputError: the folder holds no scores.
    """
    groups: dict[tuple[str, ...], Row] = {}
    for row in _read(evaluated / "scores.parquet").to_pylist():
        key = {name: row[name] for name in ("task", "language", "direction", "metric")}
        group = groups.setdefault(tuple(key.values()), {**key, "items": row["items"], **{name: [] for name in _MODELS}})
        group[row["model"].replace("-", "_")].append(row["value"])
    return [{**group, **{name: _mean(group[name]) for name in _MODELS}} for group in groups.values()]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def gradient_rows(evaluated: Path) -> list[Row]:
    """Return the cosines between gradients of alignment and tasks (`schema.GRADIENTS`); empty: they were not compared."""
    return _optional_rows(evaluated / "gradients.parquet")


def mode_rows(evaluated: Path) -> list[Row]:
    """Return the comparison of zero-shot and translate-train (`schema.TRANSLATE_TRAIN`); empty: no benchmark has both modes."""
    return _optional_rows(evaluated / "translate_train.parquet")


def _optional_rows(path: Path) -> list[Row]:
    rows: list[Row] = pq.read_table(path).to_pylist() if path.exists() else []
    return rows


def protocol(evaluated: Path) -> dict[str, Any]:
    """Return `protocol.json`: metadata and settings of the benchmarks, each model's pooling, notes of the tasks.

    Raises:
        InputError: the folder holds no scores.
    """
    content = read_json(evaluated, "protocol.json", None)
    if content is None:
        raise _no_scores(evaluated / "protocol.json")
    return {"base": {"origin": "trained", "published": False, "problem": "", "same_pooling": "equal"}, **content}


def funnel_rows(folders: Iterable[Path]) -> list[Row]:
    """Return every rule of the given stages in order: `stage, language, rule, rows_in, rows_out, dropped`.

    Folders without `funnel.parquet` are skipped.
    """
    tables = [pq.read_table(path).to_pylist() for folder in folders if (path := folder / "funnel.parquet").exists()]
    return [{**row, "dropped": row["rows_in"] - row["rows_out"]} for rows in tables for row in rows]


def rule_rows(rows: Iterable[Row]) -> list[Row]:
    """Sum `funnel_rows` over languages: `stage, rule, rows_in, rows_out, dropped, languages` ({language: dropped})."""
    rules: dict[tuple[str, str], Row] = {}
    for row in rows:
        empty = {"stage": row["stage"], "rule": row["rule"], "rows_in": 0, "rows_out": 0, "dropped": 0, "languages": {}}
        rule = rules.setdefault((row["stage"], row["rule"]), empty)
        for name in ("rows_in", "rows_out", "dropped"):
            rule[name] += row[name]
        rule["languages"][row["language"]] = rule["languages"].get(row["language"], 0) + row["dropped"]
    return list(rules.values())


def rule_reasons(folder: Path | None) -> dict[str, str]:
    """Return why each rule of a stage drops a pair, if the stage recorded it (`reasons.json`)."""
    reasons: dict[str, str] = read_json(folder, "reasons.json", {})
    return reasons


def total_rows(folders: Mapping[str, Path]) -> list[Row]:
    """Return the number of rows of each data stage's result: `stage, label, rows`, counted from the files."""
    totals = [
        {
            "stage": stage,
            "label": label,
            "rows": sum(pq.read_metadata(file).num_rows for file in sorted(folders[stage].glob(pattern))),
        }
        for stage, label, pattern in _TOTALS
        if stage in folders
    ]
    return [row for row in totals if row["rows"] or row["label"] not in _SHOWN_IF_ANY]


def corpus_rows(download: Path) -> list[Row]:
    """Return the corpora of a download result: `corpus, kind, version, licence, address, sha256, pairs, untranslated`."""
    return list(read_json(download, "provenance.json", []))


def _read(path: Path) -> Any:
    if not path.exists():
        raise _no_scores(path)
    return pq.read_table(path)


def _no_scores(path: Path) -> InputError:
    return InputError(f"no scores at {path}", "run the evaluate stage")
