"""Which rows are shown."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from mlctl import schema
from mlctl.reporting.samples import aligned_examples, rejected_examples

from .conftest import aligned, pair, put


def rejected(count: int, rule: str) -> list[dict[str, Any]]:
    return [pair("fr", f"{rule} {number}", None, rule=rule) for number in range(count)]


def test_a_few_of_each_rule_and_stage(tmp_path: Path) -> None:
    put(tmp_path / "clean" / "rejected" / "fr.parquet", [*rejected(300, "long"), *rejected(2, "empty")], schema.REJECTED)
    put(tmp_path / "translate" / "rejected" / "fr" / "00000.parquet", rejected(7, "too long"), schema.REJECTED)
    rows = rejected_examples({stage: tmp_path / stage for stage in ("clean", "translate", "align")}, 3)
    assert [(row["stage"], row["rule"]) for row in rows] == [
        *[("clean", "empty")] * 2,
        *[("clean", "long")] * 3,
        *[("translate", "too long")] * 3,
    ]


def test_the_same_rows_whatever_their_order(tmp_path: Path) -> None:
    rows = rejected(500, "long")
    put(tmp_path / "a" / "rejected" / "fr.parquet", rows, schema.REJECTED)
    random.Random(0).shuffle(rows)
    put(tmp_path / "b" / "rejected" / "fr.parquet", rows, schema.REJECTED)
    one, two = rejected_examples({"clean": tmp_path / "a"}, 5), rejected_examples({"clean": tmp_path / "b"}, 5)
    assert one == two
    assert len({row["source"] for row in one}) == 5


def test_one_pair_dropped_many_times_is_shown_once(tmp_path: Path) -> None:
    put(tmp_path / "rejected" / "fr.parquet", rejected(1, "twice") * 9, schema.REJECTED)
    assert len(rejected_examples({"clean": tmp_path}, 5)) == 1


@pytest.mark.parametrize("count", [0, 5])
def test_nothing_dropped_nothing_shown(tmp_path: Path, count: int) -> None:
    assert rejected_examples({"clean": tmp_path}, count) == []


def test_none_wanted_none_shown(folders: dict[str, Path]) -> None:
    assert rejected_examples(folders, 0) == []


def test_short_and_well_linked_pairs_first_those_that_cross(tmp_path: Path) -> None:
    straight = [aligned("fr", f"a b c d{number}", "e f g h", [(0, 0), (1, 1), (2, 2), (3, 3)]) for number in range(20)]
    crossing = aligned("fr", "it crosses right here", "ici ça se croise", [(0, 1), (1, 3), (2, 2), (3, 0)])
    loose = aligned("fr", "hardly linked at all", "à peine lié ici", [(0, 3), (3, 0)])
    long = aligned("fr", "w " * 20 + "w", "m " * 20 + "m", [(i, 20 - i) for i in range(21)])
    put(tmp_path / "pairs" / "fr.parquet", [*straight, loose, long, crossing], schema.ALIGNED)
    rows = aligned_examples(tmp_path, ["fr", "sw"])
    assert len(rows) == 3
    assert rows[0]["source"] == "it crosses right here"
    assert {len(row["source_words"]) for row in rows} == {4}
    assert aligned_examples(None, ["fr"]) == []
