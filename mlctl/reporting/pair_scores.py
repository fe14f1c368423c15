"""The quality scores of pairs that clean computed or read: their distributions, and the pairs next to their cuts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Row = dict[str, Any]


def histogram_rows(folders: Mapping[str, Path]) -> list[Row]:
    """Return the bins of each score and language (`schema.SCORE_HISTOGRAM`), by language; none without `clean.scores`."""
    return _rows(folders, "scores")


def example_rows(folders: Mapping[str, Path]) -> list[Row]:
    """Return the pairs next to each cut (`schema.SCORE_EXAMPLES`), by language and falling score."""
    return _rows(folders, "score_examples")


def score_names(histogram: list[Row]) -> list[str]:
    """Return the names of the scores in the order of the recipe."""
    return list(dict.fromkeys(row["score"] for row in histogram))


def summary_rows(histogram: list[Row], score: str) -> list[Row]:
    """Return `language, pairs, low, high, cut` of one score for each language."""
    rows: dict[str, Row] = {}
    for bin_row in histogram:
        if bin_row["score"] == score:
            row = rows.setdefault(bin_row["language"], {**bin_row, "pairs": 0})
            row["pairs"] += bin_row["pairs"]
            row["high"] = bin_row["high"]
    return list(rows.values())


def _rows(folders: Mapping[str, Path], name: str) -> list[Row]:
    files = sorted((folders["clean"] / name).glob("*.parquet")) if "clean" in folders else []
    return [row for file in files for row in pq.read_table(file).to_pylist()]
