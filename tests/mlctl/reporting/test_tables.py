"""Tables from results made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlctl.errors import InputError
from mlctl.reporting import tables


def test_benchmark_table(folders: dict[str, Path]) -> None:
    rows = tables.benchmark_rows(folders["evaluate"])
    assert [(row["task"], row["language"]) for row in rows] == [
        ("sentence-retrieval", "ar"),
        ("sentence-retrieval", "fr"),
        ("word-retrieval", "ar"),
        ("word-retrieval", "fr"),
    ]
    first = rows[0]
    assert first["base"] == pytest.approx(0.15)
    assert first["trained"] == pytest.approx(0.6)
    assert first["difference"] == pytest.approx(0.45)
    assert first["items"] == 100, "both directions ask about the same pairs"
    assert 0.3 < first["low"] < 0.45 < first["high"] < 0.6
    assert first["directions"] == {"ar→en": [0.2, 0.7], "en→ar": [0.1, 0.5]}


def test_means(folders: dict[str, Path]) -> None:
    (sentences, words) = tables.mean_rows(tables.benchmark_rows(folders["evaluate"]))
    assert (sentences["task"], sentences["languages"], sentences["items"]) == ("sentence-retrieval", 2, 200)
    assert words["difference"] == pytest.approx(0.45)


def test_funnel(folders: dict[str, Path]) -> None:
    rows = tables.funnel_rows(folders[stage] for stage in ("clean", "translate", "align", "shard"))
    assert [(r["stage"], r["language"], r["rule"], r["dropped"]) for r in rows] == [
        ("clean", "fr", "empty", 9),
        ("clean", "fr", "long", 0),
        ("clean", "ar", "empty", 9),
        ("clean", "ar", "long", 0),
        ("shard", "fr", "held-out text", 2),
        ("shard", "ar", "held-out text", 2),
    ]
    first = tables.rule_rows(rows)[0]
    assert first == {
        "stage": "clean",
        "rule": "empty",
        "rows_in": 34,
        "rows_out": 16,
        "dropped": 18,
        "languages": {"fr": 9, "ar": 9},
    }


def test_totals_are_counted_from_the_files(folders: dict[str, Path]) -> None:
    assert [(row["stage"], row["rows"]) for row in tables.total_rows(folders)] == [
        ("download", 18),
        ("clean", 16),
        ("align", 2),
        ("shard", 0),
        ("shard", 0),
    ]


def test_without_scores_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="evaluate"):
        tables.benchmark_rows(tmp_path)
