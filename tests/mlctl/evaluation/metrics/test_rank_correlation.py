"""Spearman's correlation as a ratio of sums, against scipy, and the influence of an item on it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from mlctl.evaluation.metrics.item_scores import ratio_of_sums
from mlctl.evaluation.metrics.rank_correlation import rank_products


@given(st.integers(3, 300), st.integers(0, 10_000), st.booleans())
@settings(max_examples=100)
def test_the_ratio_is_scipys_correlation_with_and_without_ties(count: int, seed: int, ties: bool) -> None:
    draw = np.random.default_rng(seed)
    gold = draw.integers(0, 6, count).astype(float) if ties else draw.random(count)
    similarities = np.round(0.1 * gold + draw.random(count), 1 if ties else 6)
    if len(set(gold)) > 1 and len(set(similarities)) > 1:
        expected = spearmanr(similarities, gold).statistic
        assert ratio_of_sums(*rank_products(similarities, gold)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("similarities", [np.ones(9), np.full(9, np.nan), 0.7 + 1e-9 * np.arange(9)])
def test_a_model_that_gives_all_texts_one_vector_correlates_with_nothing(similarities: np.ndarray) -> None:
    assert ratio_of_sums(*rank_products(similarities, np.arange(9.0))) == 0


def test_the_ratio_varies_with_an_item_as_the_correlation_of_the_ranks_does() -> None:
    draw = np.random.default_rng(0)
    gold = draw.random(40)
    similarities = gold + draw.random(40)
    part, whole = (column.astype(float) for column in rank_products(similarities, gold))
    rho, step = part.sum() / whole.sum(), 1e-4
    x, y = rankdata(similarities), rankdata(gold)
    for item in range(40):
        weights = np.ones(40)
        weights[item] += step
        covariance = np.cov(x, y, aweights=weights)
        changed = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        ratio = (weights * part).sum() / (weights * whole).sum()
        assert (changed - rho) / step == pytest.approx((ratio - rho) / step, abs=1e-3)
