"""Paired tests against scipy and against cases computed by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlctl.evaluation.statistics.paired_tests import ItemMatrix, compare, holm, mean


def item_matrix(*rows: list[int] | np.ndarray) -> ItemMatrix:
    part = np.array(rows, np.float64)
    return ItemMatrix(part, np.ones_like(part))


def drawn(seed: int, base: float, trained: float, items: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    hard = random.random(items)
    return (hard < base).astype(int), (hard < trained).astype(int)


def test_p_is_that_of_every_exchange_of_few_items() -> None:
    base, trained = [0, 0, 0, 1, 0, 0, 1, 0, 0, 0], [1, 1, 0, 1, 1, 0, 0, 1, 1, 0]
    comparison = compare(item_matrix(base), item_matrix(trained), 20_000, 0)
    moves = np.array(list(itertools.product((1, -1), repeat=10))) @ (np.array(trained) - base)
    exact = np.mean(np.abs(moves) >= abs(sum(trained) - sum(base)))
    assert comparison.p_value() == pytest.approx(exact, abs=0.01)
    assert comparison.difference == pytest.approx(0.4)


def test_agrees_with_scipy() -> None:
    base, trained = drawn(0, 0.5, 0.58, 300)
    comparison = compare(item_matrix(base), item_matrix(trained), 5000, 0)
    expected = stats.bootstrap((trained, base), lambda a, b: a.mean() - b.mean(), paired=True, vectorized=False, n_resamples=3000, method="percentile", rng=0)  # fmt: skip
    assert comparison.confidence_interval() == pytest.approx(tuple(expected.confidence_interval), abs=0.01)
    difference = lambda a, b, axis: np.mean(a, axis) - np.mean(b, axis)  # noqa: E731
    permuted = stats.permutation_test((trained, base), difference, permutation_type="samples", n_resamples=5000, rng=0)
    assert comparison.p_value() == pytest.approx(permuted.pvalue, abs=0.01)


def test_ratios_of_sums_are_drawn_as_ratios() -> None:
    """F1 of items of very different size: the score of each resample is computed from its sums."""
    random = np.random.default_rng(3)
    whole = random.integers(1, 20, 200).astype(float)[None]
    base, trained = (
        ItemMatrix(random.binomial(whole.astype(int), 0.4), whole),
        ItemMatrix(random.binomial(whole.astype(int), 0.6), whole),
    )
    comparison = compare(base, trained, 4000, 0)
    assert comparison.base[0] == pytest.approx(base.part.sum() / whole.sum())
    draw = random.integers(0, 200, (4000, 200))
    resampled = (trained.part[0][draw].sum(1) - base.part[0][draw].sum(1)) / whole[0][draw].sum(1)
    assert comparison.confidence_interval() == pytest.approx(tuple(np.quantile(resampled, (0.025, 0.975))), abs=0.01)
    assert comparison.p_value() < 0.001


@given(st.integers(1, 60), st.integers(1, 3), st.integers(0, 99))
def test_equal_models_differ_by_nothing(items: int, seeds: int, seed: int) -> None:
    matrix = item_matrix(*np.random.default_rng(seed).integers(0, 2, (seeds, items)))
    comparison = compare(matrix, matrix, 100, seed)
    assert (comparison.p_value(), comparison.confidence_interval(), comparison.difference) == (1.0, (0.0, 0.0), 0.0)


def test_p_is_as_rare_as_it_says() -> None:
    values = [compare(*map(item_matrix, np.random.default_rng(n).integers(0, 2, (2, 80))), 200, n).p_value() for n in range(300)]
    assert 0.01 < np.mean(np.array(values) <= 0.05) < 0.09


def test_luck_of_seeds_widens_the_interval() -> None:
    items = np.arange(100) < 50
    steady = compare(item_matrix(items, items, items), item_matrix(items, items, items), 500, 0)
    lucky = [(np.arange(100) < count).astype(int) for count in (40, 55, 70)]
    low, high = compare(item_matrix(items, items, items), item_matrix(*lucky), 500, 0).confidence_interval()
    assert steady.confidence_interval() == (0.0, 0.0)
    assert low < 0 < high


def test_translations_of_the_same_items_are_drawn_together() -> None:
    """Two languages with the same results are one observation, not two."""
    one, other = (compare(*map(item_matrix, drawn(1, 0.5, 0.6, 200)), 2000, 0) for _ in range(2))
    assert mean([one, other]).confidence_interval() == one.confidence_interval()
    assert mean([one, other]).p_value() == one.p_value()


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
