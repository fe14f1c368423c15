"""The column of scores and its arrays: what is written is read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mlctl.core.score_columns import score_arrays, score_column
from mlctl.schema import SCORES_BY_NAME

NUMBERS = st.floats(-100, 100, width=32)
ROWS = st.lists(st.none() | st.dictionaries(st.sampled_from(["a", "b", "ü"]), NUMBERS))


@given(ROWS, st.integers(0, 3))
def test_arrays_of_a_column_make_the_same_column(rows: list[dict[str, float] | None], skipped: int) -> None:
    column = pa.array([None if row is None else sorted(row.items()) for row in rows], SCORES_BY_NAME).slice(skipped)
    arrays = score_arrays(column)
    assert list(arrays) == sorted({name for row in rows[skipped:] for name in row or ()})
    for name, values in arrays.items():
        expected = [(row or {}).get(name, np.nan) for row in rows[skipped:]]
        assert np.array_equal(values, np.array(expected, np.float32), equal_nan=True)
    again = score_column(arrays, len(column))
    assert again.type == SCORES_BY_NAME
    assert again.to_pylist() == [row or None for row in column.to_pylist()]


def test_chunks_are_joined() -> None:
    chunk = pa.array([None, [("a", 1.0)]], SCORES_BY_NAME)
    assert np.array_equal(score_arrays(pa.chunked_array([chunk, chunk]))["a"], [np.nan, 1, np.nan, 1], equal_nan=True)
