"""The rule that notices a training that learns nothing: no false alarm on any way to learn, no silence on a flat loss."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.config import Model, Train, resolve_train
from mlctl.core.workspace import Workspace
from mlctl.training import train
from mlctl.training.loss_fall import has_fallen, not_fallen, step_of_first_check

SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "in a line": lambda x: 1 - x,
    "at once": lambda x: np.exp(-x * 60),
    "slowly, then faster": lambda x: 1 - x**2,
    "after a warm-up": lambda x: 1 - np.clip((x - 0.3) / 0.7, 0, 1),
    "in one step": lambda x: (x < 0.1).astype(float),
}


def noisy(seed: int, mean: np.ndarray, deviation: float) -> np.ndarray:
    return mean + np.random.default_rng(seed).normal(0, deviation, len(mean))


@given(
    st.integers(0, 10**6), st.sampled_from(sorted(SHAPES)), st.integers(60, 3000), st.floats(4, 100), st.floats(0.01, 10), st.floats(-50, 50)
)  # fmt: skip
def test_a_loss_that_falls_is_no_alarm(seed: int, shape: str, steps: int, fall: float, deviation: float, level: float) -> None:
    mean = level + deviation * fall * SHAPES[shape](np.arange(steps) / steps)
    assert has_fallen(noisy(seed, mean, deviation))


@given(st.integers(0, 10**6), st.integers(500, 3000), st.floats(0.01, 10), st.floats(-50, 50), st.floats(0, 3))
def test_a_loss_that_is_level_or_rises_is_an_alarm(seed: int, steps: int, deviation: float, level: float, rise: float) -> None:
    mean = level + deviation * rise * np.arange(steps) / steps
    assert not has_fallen(noisy(seed, mean, deviation))


@given(st.integers(0, 10**6), st.integers(30, 1000), st.sampled_from([0.0, 0.3, 3.0]), st.floats(0.1, 100), st.floats(-100, 100))
def test_scale_and_level_of_the_loss_do_not_matter(seed: int, steps: int, fall: float, scale: float, level: float) -> None:
    losses = noisy(seed, -fall * np.arange(steps) / steps, 1.0)
    assert has_fallen(losses) == has_fallen(scale * losses + level)


@given(st.integers(0, 10**6), st.integers(300, 1000), st.integers(1, 3))
def test_single_outliers_do_not_hide_a_level_loss(seed: int, steps: int, outliers: int) -> None:
    generator = np.random.default_rng(seed)
    losses = generator.normal(0, 1, steps)
    losses[generator.integers(0, 10, outliers)] += 20  # at the start, where they look like a fall
    assert has_fallen(losses) == has_fallen(np.clip(losses, -6, 6))


def test_too_few_steps_are_no_evidence() -> None:
    assert has_fallen(np.zeros(29))
    assert not has_fallen(np.zeros(30))


def test_first_check_is_after_a_tenth_and_the_warm_up() -> None:
    def step(**changes: int) -> int:
        return step_of_first_check(resolve_train(Train.model_validate(changes), "scratch"))

    assert step(steps=1000, warmup_steps=0) == 100
    assert step(steps=1000) == 200
    assert step(steps=100, warmup_steps=10) == 40
    assert step(steps=20) == 20


def test_an_anchor_may_grow_while_the_contrastive_loss_falls() -> None:
    settings = resolve_train(Train(), "sentence-encoder")
    level, falling = noisy(0, np.zeros(500), 0.1), noisy(1, np.linspace(3, 0, 500), 0.1)
    assert not not_fallen(level, falling, settings)
    assert not_fallen(level, level, settings)
    assert not_fallen(level, falling, resolve_train(Train(), "masked-lm"))
    assert not not_fallen(level, level, resolve_train(Train(temperature_mode="linear"), "masked-lm"))


LEAN: dict[str, Any] = {"objective": "sentence", "mlm_weight": 0}
QUICK: dict[str, Any] = {"batch_size": 8, "threads": 1, "devices": "cpu", "trackers": [], "checkpoint_seconds": 1000}


def test_a_training_that_learns_nothing_says_so(
    make_shards: Callable[..., Path], toy_model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What README's form of a recipe did: a model from scratch at the learning rate of a pre-trained one."""
    shards = make_shards(tmp_path / "shards", [64])
    caplog.set_level(logging.WARNING, "mlctl")
    settings = Train.model_validate({**QUICK, "steps": 150, "learning_rate": 1e-8, **LEAN})
    metrics = train(settings, toy_model, 0, shards, Workspace(tmp_path / "result"))
    assert str(metrics["not_fallen"]).startswith("the loss has not fallen in 150 steps (")
    assert "train.learning_rate" in str(metrics["not_fallen"])
    assert "THIS TRAINING HAS LEARNED NOTHING" in caplog.text

    caplog.clear()
    learned = train(Train.model_validate({**QUICK, "steps": 60, **LEAN}), toy_model, 0, shards, Workspace(tmp_path / "learned"))
    assert "not_fallen" not in learned
    assert "LEARN" not in caplog.text
    assert float(learned["loss"] or 0) < float(metrics["loss"] or 0) - 0.5
