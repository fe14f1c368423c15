"""Projection of the token map."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from mlctl.reporting.embedding_map import neighbour_agreement, project


def clouds(count: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.repeat(np.eye(8)[:4], count, 0) + 0.05 * generator.standard_normal((4 * count, 8))


@pytest.mark.parametrize("how", ["tsne", "pca"])
def test_clouds_stay_together_and_in_the_frame(how: Literal["tsne", "pca"]) -> None:
    flat = project(clouds(20), how, seed=0).reshape(4, 20, 2)
    assert np.abs(flat).max() == 1.0
    centres = flat.mean(1)
    spread = np.abs(flat - centres[:, None]).max()
    assert min(np.linalg.norm(centres[i] - centres[j]) for i in range(4) for j in range(i)) > 2 * spread


@pytest.mark.parametrize("how", ["tsne", "pca"])
def test_equal_states_give_an_equal_picture(how: Literal["tsne", "pca"]) -> None:
    states = clouds(25)
    np.testing.assert_array_equal(project(states, how, seed=3), project(states, how, seed=3))


def test_length_of_states_does_not_matter() -> None:
    states = clouds(5)
    scaled = states * np.arange(1, 21)[:, None]
    np.testing.assert_allclose(project(states, "pca", 0), project(scaled, "pca", 0), atol=1e-3)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 11, 12])
def test_few_points(count: int) -> None:
    flat = project(clouds(5)[:count], "tsne", seed=0)
    assert flat.shape == (count, 2)
    assert np.isfinite(flat).all()


def test_states_that_are_no_numbers_or_all_the_same() -> None:
    assert np.isfinite(project(np.full((20, 4), np.nan), "pca", 0)).all()
    assert np.isfinite(project(np.ones((20, 4)), "tsne", 0)).all()


def test_share_of_neighbours_of_one_meaning() -> None:
    states = np.array([[1, 0], [0, 1], [1, 0.1], [1, 0.2]])
    meanings, languages = np.array([0, 1, 0, 1]), np.array(["en", "en", "fr", "fr"])
    # en 0 → the first fr (right), en 1 → the second fr (right), both fr → en 0 (right for the first only)
    assert neighbour_agreement(states, meanings, languages) == 0.75
    assert neighbour_agreement(states, meanings, np.array(["en"] * 4)) is None
