"""Intervals against published examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.reporting.intervals import ratio_interval, wilson


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


def test_an_interval_of_f1_is_that_of_the_bootstrap() -> None:
    draw = np.random.default_rng(3)
    whole = draw.integers(1, 9, 400).astype(float)
    part = np.round(whole * draw.beta(4, 2, 400))
    sums = [(part[rows].sum(), whole[rows].sum()) for rows in draw.integers(0, 400, (4000, 400))]
    low, high = np.percentile([a / b for a, b in sums], (2.5, 97.5))
    assert ratio_interval(part, whole) == pytest.approx((low, high), abs=0.003)


def test_answers_in_both_directions_say_as_much_as_they_differ() -> None:
    answers = np.random.default_rng(4).integers(0, 2, 500).astype(float)
    once = ratio_interval(answers, np.ones(500))
    assert once == pytest.approx(wilson(answers.mean(), 500))
    assert ratio_interval((answers + answers) / 2, np.ones(500)) == once  # the same twice is no more
    other = np.random.default_rng(5).permutation(answers)
    low, high = ratio_interval((answers + other) / 2, np.ones(500))
    assert high - low == pytest.approx((once[1] - once[0]) / 2**0.5, rel=0.1)


def test_nothing_to_add_up_says_nothing() -> None:
    assert ratio_interval([0.0], [0.0]) == (0.0, 1.0)
    assert ratio_interval([1.0, 1.0], [1.0, 1.0])[1] == 1.0
