"""Intervals against published examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.reporting.intervals import wilson


def test_wilson_agrees_with_newcombes_table() -> None:
    # Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(50, 500))
def test_intervals_hold_their_figure_and_mirror(base: int, trained: int, items: int) -> None:
    for share in (base / items, trained / items):
        low, high = wilson(share, items)
        assert 0 <= low <= share <= high <= 1
        assert wilson(1 - share, items) == pytest.approx((1 - high, 1 - low))


def test_more_items_say_more() -> None:
    few, many = wilson(0.1, 50), wilson(0.1, 5000)
    assert few[0] < many[0] < 0.1 < many[1] < few[1]


def test_no_items_say_nothing() -> None:
    assert wilson(0.0, 0) == (0.0, 1.0)
