"""Selection of the rows that are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
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


def test_the_same_rows_whatever_the_row_groups(tmp_path: Path) -> None:
    rows = [pair("fr", f"text {number}", None, rule=f"rule {number % 3}") for number in range(5000)]
    put(tmp_path / "a" / "rejected" / "fr.parquet", rows, schema.REJECTED)
    path = tmp_path / "b" / "rejected" / "fr.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.REJECTED), path, row_group_size=7)
    one, two = (rejected_examples({"clean": tmp_path / folder}, 10) for folder in ("a", "b"))
    assert one == two
    assert [row["rule"] for row in one] == [f"rule {number}" for number in range(3) for _ in range(10)]
    assert len({row["source"] for row in one}) == 30


def test_every_dropped_row_has_the_same_chance(tmp_path: Path) -> None:
    for language, count in (("de", 60_000), ("fr", 180_000)):
        path = tmp_path / "rejected" / f"{language}.parquet"
        put(path, [pair(language, "", None, rule="long")], schema.REJECTED)
        table = pq.read_table(path).take(pa.array([0] * count))
        numbers = pa.array(map(str, range(count)))
        pq.write_table(table.set_column(2, schema.REJECTED.field("source"), numbers), path)
    drawn = rejected_examples({"clean": tmp_path}, 100)
    french = [int(row["source"]) for row in drawn if row["language"] == "fr"]
    assert 60 < len(french) < 90, "as many as there are dropped rows of it"
    assert 70_000 < sum(french) / len(french) < 110_000, "not from the beginning of the file only"


def test_memory_does_not_grow_with_what_was_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rejected" / "fr.parquet"
    path.parent.mkdir()
    text = "a sentence of some length " * 20
    rows = [pair("fr", text, text, rule=f"rule {number % 20}", origin=str(number)) for number in range(2000)]
    table = pa.Table.from_pylist(rows, schema=schema.REJECTED)
    with pq.ParquetWriter(path, schema.REJECTED, compression="zstd") as writer:
        for _ in range(50):
            writer.write_table(table)
    usual = pa.default_memory_pool()
    pa.set_memory_pool(counting := pa.proxy_memory_pool(usual))
    try:
        assert len(rejected_examples({"clean": tmp_path}, 10)) == 20, "one text a rule"
    finally:
        pa.set_memory_pool(usual)
    assert counting.max_memory() < 20_000_000, "of some 100 MB of text"


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
