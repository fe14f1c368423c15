"""Tables of hand-made results."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlctl.errors import InputError
from mlctl.reporting import tables


def test_benchmark_table(folders: dict[str, Path]) -> None:
    rows = tables.benchmark_rows(folders["evaluate"])
    assert [(row["task"], row["language"]) for row in rows] == [
        *[("sentence-retrieval", language) for language in ("ar", "fr")],
        *[("tatoeba", language) for language in ("de", "sw")],
        *[("word-retrieval", language) for language in ("ar", "fr")],
        *[("xnli", language) for language in ("de", "en", "sw")],
    ]
    first = rows[0]
    assert (first["base"], first["trained"], first["items"]) == (0.15, 0.6, 100)
    assert 0.3 < first["low"] < first["difference"] < first["high"] < 0.6


def test_means_leave_english_out(folders: dict[str, Path]) -> None:
    rows = {row["task"]: row for row in tables.mean_rows(folders["evaluate"])}
    assert (rows["xnli"]["languages"], rows["xnli"]["base"]) == (2, pytest.approx(0.6))
    assert rows["word-retrieval"]["difference"] == pytest.approx(0.45)


def test_every_figure_is_a_mean_over_seeds(folders: dict[str, Path]) -> None:
    rows = {(row["task"], row["direction"]): row for row in tables.score_rows(folders["evaluate"])}
    assert rows["xnli", "en→sw"]["trained"] == pytest.approx(0.51)
    assert (rows["word-retrieval", "fr→en"]["base"], rows["word-retrieval", "fr→en"]["items"]) == (pytest.approx(0.2), 100)


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
    for read in (tables.benchmark_rows, tables.mean_rows, tables.score_rows, tables.protocol):
        with pytest.raises(InputError, match="evaluate"):
            read(tmp_path)
