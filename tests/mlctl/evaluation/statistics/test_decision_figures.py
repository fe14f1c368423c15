"""Figures of the paired tests that decide promotions, against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mlctl.evaluation.metrics.item_scores import ItemScores
from mlctl.evaluation.statistics.model_comparison import ModelScores, comparisons_by_task, difference_rows, is_significant
from mlctl.evaluation.statistics.paired_tests import PairedComparison, standard_deviation
from mlctl.evaluation.statistics.promotion import TaskComparison, _decision


def comparison(difference: float, bootstrap: np.ndarray, randomised: np.ndarray) -> PairedComparison:
    return PairedComparison(np.array([0.5]), np.array([0.5 + difference]), bootstrap, randomised)


@pytest.mark.parametrize(("extreme", "p"), [(0, 1 / 100), (1, 2 / 100), (99, 1.0)])
def test_p_counts_the_observed_difference_among_the_exchanges(extreme: int, p: float) -> None:
    """Without the observed one, p would be 0 for any difference that no exchange reaches."""
    randomised = np.array([-0.3] * extreme + [0.1] * (99 - extreme))
    assert comparison(0.2, np.zeros(1), randomised).p_value() == pytest.approx(p)


def test_the_interval_holds_95_percent_of_the_resamples() -> None:
    resamples = np.random.default_rng(0).permutation(np.linspace(0, 1, 1001))
    assert comparison(0.2, resamples, np.zeros(1)).confidence_interval() == pytest.approx((0.025, 0.975))


def test_the_deviation_over_seeds_is_that_of_a_sample() -> None:
    assert standard_deviation(np.array([0.1, 0.3])) == pytest.approx(0.02**0.5)
    assert standard_deviation(np.array([0.1])) is None


@pytest.mark.parametrize(
    ("difference", "low", "p", "promoted"),
    [
        (0.02, 0.001, 0.049, True),
        (0.02, -0.001, 0.01, False),  # the interval includes 0
        (0.02, 0.001, 0.05, False),  # p is not below 0.05
        (-0.02, -0.03, 0.001, False),
    ],
)
def test_a_challenger_is_promoted_if_both_tests_agree(difference: float, low: float, p: float, promoted: bool) -> None:
    overall = TaskComparison("all", 0.5, 0.5 + difference, difference, low, 0.04, p)
    assert _decision(overall, [], tolerance=0.01).is_better is promoted


@pytest.mark.parametrize(("fall", "promoted"), [(0.009, True), (0.011, False)])
def test_a_task_may_fall_by_the_tolerance(fall: float, promoted: bool) -> None:
    overall = TaskComparison("all", 0.5, 0.6, 0.1, 0.05, 0.15, 0.001)
    task = TaskComparison("one", 0.5, 0.5 - fall, -fall, -0.02, 0.0, 0.04)
    assert _decision(overall, [task], tolerance=0.01).is_better is promoted


@pytest.mark.parametrize(
    ("bootstrap", "p", "significant"), [((0.1, 0.3), 0.049, True), ((-0.1, 0.3), 0.01, False), ((0.1, 0.3), 0.05, False)]
)
def test_a_differenceis_significant_if_both_tests_agree(bootstrap: tuple[float, float], p: float, significant: bool) -> None:
    assert is_significant(comparison(0.2, np.linspace(*bootstrap, 100), np.zeros(1)), p) is significant


def scores(model: str, language: str, **parts: list[float]) -> ModelScores:
    """Return the scores of one model on the items 0, 1, … in one or several directions."""
    directions = [
        ItemScores(
            "task", direction, {}, list(map(str, range(len(part)))), np.array(part, np.float32), np.ones(len(part), np.float32)
        )
        for direction, part in parts.items()
    ]
    return ModelScores(model, "task", language, None, "accuracy", directions)


def test_both_directions_of_an_item_count() -> None:
    results = [scores("base", "fr", there=[1, 0], back=[1, 0]), scores("trained", "fr", there=[1, 1], back=[0, 1])]
    (row,), _ = difference_rows(results, 100, 0)
    assert (row["base"], row["trained"], row["items"]) == (0.5, 0.75, 2)


@pytest.mark.parametrize(("languages", "in_the_mean"), [(("en", "fr", "de"), 2), (("en",), 1)])
def test_english_is_in_the_mean_if_it_is_alone(languages: tuple[str, ...], in_the_mean: int) -> None:
    results = [scores(model, language, there=[1, 0]) for model in ("base", "trained") for language in languages]
    assert len(comparisons_by_task(results, 100, 0)["task"]) == in_the_mean
