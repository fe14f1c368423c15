"""What changed and for whom, from hand-made results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlctl import schema
from mlctl.reporting import changes

from .conftest import differences, pair, put


def figures(folders: dict[str, Path]) -> dict[str, list[dict[str, Any]]]:
    return changes.change_figures(folders, differences())


def group(rows: list[dict[str, Any]], task: str, by: str) -> dict[str, tuple[int, float]]:
    own = [row for row in rows if (row["task"], row["by"]) == (task, by)]
    return {row["group"]: (row["languages"], round(row["difference"], 6)) for row in own}


def test_items_and_lengths_are_added_up(folders: dict[str, Path]) -> None:
    found = figures(folders)
    assert found["tasks"] == [{"task": "tatoeba", "items": 180, "gained": 18, "lost": 6}]
    assert group(found["groups"], "tatoeba", "length") == {"short": (2, 0), "medium": (2, 0.1), "long": (2, 0.2)}
    assert len(found["items"]) == 3


def test_languages_are_grouped_without_english(folders: dict[str, Path]) -> None:
    groups = figures(folders)["groups"]
    assert group(groups, "xnli", "family") == {"Indo-European: Germanic": (1, 0.02), "Niger-Congo": (1, 0.06)}
    assert group(groups, "sentence-retrieval", "script") == {"Arabic": (1, 0.45), "Latin": (1, 0.45)}
    assert group(groups, "tatoeba", "script") == {}, "one group says nothing"
    assert not [row for row in groups if row["by"] == "training rows"], "there are no training rows"


def test_languages_are_grouped_by_their_training_rows(folders: dict[str, Path], tmp_path: Path) -> None:
    more = {"source_ids": [1], "target_ids": [1], "word_pairs": [], "source_identity": 0, "target_identity": 0}
    put(tmp_path / "train" / "00.parquet", [{**pair("fr", "a", "b"), **more}] * 1500, schema.SHARD)
    groups = figures({**folders, "shard": tmp_path})["groups"]
    assert list(group(groups, "word-retrieval", "training rows").items()) == [("none", (1, 0.45)), ("1,000 to 9,999", (1, 0.45))]


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        (0, "none"),
        (1, "under 1,000"),
        (999, "under 1,000"),
        (1000, "1,000 to 9,999"),
        (99_999, "10,000 to 99,999"),
        (1_000_000, "1,000,000 or more"),
    ],
)
def test_amounts(rows: int, name: str) -> None:
    assert changes._amount(rows) == name


def test_amounts_are_sorted_by_size() -> None:
    names = [changes._amount(rows) for rows in (0, 5, 5_000, 50_000, 500_000, 5_000_000)]
    assert sorted(["other", *names[::-1]], key=changes._group_order) == [*names, "other"]


def test_models_are_side_by_side(folders: dict[str, Path]) -> None:
    rows = figures(folders)["geometry"]
    assert [(row["measure"], row["language"]) for row in rows] == [
        ("anisotropy", None),
        ("hubness", "fr"),
        ("language-probe", "en"),
        ("language-probe", "fr"),
    ]
    assert (rows[1]["base"], rows[1]["trained"]) == (2.5, 2.25)


def test_a_result_of_an_older_version_has_none(folders: dict[str, Path], tmp_path: Path) -> None:
    found = figures({"evaluate": tmp_path})
    assert (found["tasks"], found["items"], found["geometry"]) == ([], [], [])
    assert group(found["groups"], "xnli", "family")
