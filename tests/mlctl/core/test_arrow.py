"""Rows of Parquet files are read in ranges, whatever files and row groups they are in."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl.core.arrow import batches, row_count, row_range


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three files with 7, 0 and 5 rows in groups of 3; column `n` counts through all of them."""
    paths = [tmp_path / f"{name}.parquet" for name in "abc"]
    for path, (first, last) in zip(paths, ((0, 7), (7, 7), (7, 12)), strict=True):
        numbers = list(range(first, last))
        pq.write_table(pa.table({"n": pa.array(numbers, pa.int64()), "x": list(map(str, numbers))}), path, row_group_size=3)
    return paths


def test_every_range_is_read_whole_and_in_order(files: list[Path]) -> None:
    for first, last in itertools.combinations(range(14), 2):
        found = [n for batch in row_range(files, first, last, ["n"], batch_rows=2) for n in batch["n"].to_pylist()]
        assert found == list(range(first, min(last, 12))), (first, last)


def test_columns_come_in_the_requested_order(files: list[Path]) -> None:
    assert next(row_range(files, 0, 2, ["x", "n"])).schema.names == ["x", "n"]


def test_row_groups_outside_the_range_are_not_read(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[list[int]] = []
    read = pq.ParquetFile.iter_batches

    def recorded(self: pq.ParquetFile, size: int, row_groups: list[int], columns: list[str]) -> object:
        groups.append(row_groups)
        return read(self, size, row_groups=row_groups, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", recorded)
    assert sum(batch.num_rows for batch in row_range(files, 4, 6, ["n"])) == 2
    assert groups == [[1]]


def test_batches_are_bounded(files: list[Path]) -> None:
    assert [batch.num_rows for batch in batches(files[0], ["n"], 2)] == [2, 2, 2, 1]
    assert next(batches(files[0])).schema.names == ["n", "x"]
    assert list(map(row_count, files)) == [7, 0, 5]
