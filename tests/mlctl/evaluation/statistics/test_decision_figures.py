"""Figures of the paired tests that decide promotions, against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

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
    assert _decision(overall, [], tolerance=0.01).better is promoted


@pytest.mark.parametrize(("fall", "promoted"), [(0.009, True), (0.011, False)])
def test_a_task_may_fall_by_the_tolerance(fall: float, promoted: bool) -> None:
    overall = TaskComparison("all", 0.5, 0.6, 0.1, 0.05, 0.15, 0.001)
    task = TaskComparison("one", 0.5, 0.5 - fall, -fall, -0.02, 0.0, 0.04)
    assert _decision(overall, [task], tolerance=0.01).better is promoted
