"""Digests, buckets and bitmaps of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.cleaning import duplicates
from mlctl.cleaning.duplicates import DigestBucket, RowBitmap, digests_of


@given(st.lists(st.integers(0, 40)))
def test_rows_that_come_again(values: list[int]) -> None:
    bucket = DigestBucket(np.array(values, dtype=np.uint64), np.arange(100, 100 + len(values), dtype=np.uint64))
    assert bucket.repeated_rows.tolist() == [100 + row for row, value in enumerate(values) if value in values[:row]]


def test_digests_are_the_same_in_every_process() -> None:
    assert digests_of(["", "text"]).tolist() == [13020603013274838756, 2024992729630503895]


def test_buckets_stay_small_however_many_rows_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_BUCKET_ROWS", 1000)
    digests = np.random.default_rng(0).integers(0, 1 << 63, 50_000, dtype=np.uint64) * np.uint64(2)
    digests[40_000:] = digests[:10_000]
    buckets = duplicates.DigestBuckets(tmp_path / "buckets", len(digests))
    for first in range(0, len(digests), 7000):
        rows = np.arange(first, min(first + 7000, len(digests)), dtype=np.uint64)
        buckets.add(digests[first : first + 7000], rows)
    filled = list(buckets)
    assert max(len(bucket.rows) for bucket in filled) < 1500
    assert sum(len(bucket.rows) for bucket in filled) == 50_000
    assert sorted(row for bucket in filled for row in bucket.repeated_rows.tolist()) == list(range(40_000, 50_000))


def test_row_bitmap() -> None:
    bitmap = RowBitmap(21)
    bitmap.set(np.array([0, 7, 8, 20, 7], dtype=np.uint64))
    bitmap.set(np.array([9], dtype=np.uint64))
    assert np.flatnonzero(bitmap.mask(0, 21)).tolist() == [0, 7, 8, 9, 20]
    assert np.flatnonzero(bitmap.mask(8, 16)).tolist() == [0, 1]
    assert bitmap.mask(16, 21).tolist() == [False] * 4 + [True]
