import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlctl.training.divergence import BLOCK, DivergenceDetector


def stops_at(losses: NDArray[np.float64], share: float = 0.5, first: int = 1) -> int | None:
    """The step after which training stops; it went on from a checkpoint of the step before `first`."""
    divergence = DivergenceDetector(share)
    for step in range(first, len(losses) + 1):
        if divergence.check(losses[:step]):
            return step
    return None


def falling(steps: int, seed: int, noise: float = 0.5) -> NDArray[np.float64]:
    """From 5 to −7, as CZ-NCE does, with noise."""
    return -7 + 12 * np.exp(-np.arange(steps) / 300) + np.random.default_rng(seed).normal(0, noise, steps)


@given(st.integers(0, 10**6), st.floats(0.01, 3.0))
def test_noise_and_outliers_stop_nothing(seed: int, noise: float) -> None:
    losses = falling(1500, seed, noise)
    losses[np.random.default_rng(seed + 1).choice(1500, 75, replace=False)] += 50
    assert stops_at(losses) is None


@given(st.integers(0, 10**6), st.floats(0.01, 3.0))
def test_a_loss_that_does_not_move_stops_nothing(seed: int, noise: float) -> None:
    assert stops_at(np.random.default_rng(seed).normal(4.8, noise, 1500)) is None


@given(st.integers(0, 10**6), st.integers(250, 1200), st.sampled_from(["collapse", "explode", "creep"]))
def test_a_loss_that_rises_for_good_stops_training_soon(seed: int, when: int, how: str) -> None:
    losses = falling(1600, seed)
    after = np.arange(1600 - when)
    losses[when:] += {"collapse": 12.0 + 0 * after, "explode": 100.0 + after, "creep": after / 10}[how]
    stopped = stops_at(losses)
    assert stopped is not None
    assert when < stopped <= when + 2 * BLOCK + (0 if how != "creep" else 120)
    divergence = DivergenceDetector(0.5)
    message = next(filter(None, (divergence.check(losses[:step]) for step in range(1, 1601))))
    assert divergence.best_step <= when + BLOCK
    assert f"up to step {divergence.best_step}" in message


@given(st.integers(0, 10**6), st.integers(1, 900))
def test_going_on_from_a_checkpoint_it_stops_at_the_same_step(seed: int, first: int) -> None:
    losses = falling(1200, seed)
    losses[700:] = 5.0
    stopped = stops_at(losses)
    assert stopped == 800
    if first <= stopped:
        assert stops_at(losses, first=first) == stopped


def test_a_small_rise_of_a_quiet_loss_stops_nothing() -> None:
    losses = np.random.default_rng(0).normal(-9.0, 0.05, 1000)
    losses[300:] += 0.8
    assert stops_at(losses) is None


@pytest.mark.parametrize(("share", "stops"), [(0.2, True), (0.9, False), (1000, False)])
def test_how_much_may_be_given_back_is_a_setting(share: float, stops: bool) -> None:
    losses = falling(1200, 0, 0.1)
    losses[1000:] += 5
    assert (stops_at(losses, share) is not None) == stops
