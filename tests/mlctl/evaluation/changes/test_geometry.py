"""Geometry of vectors whose geometry is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mlctl.evaluation.changes.geometry import anisotropy, geometry_rows, hubness, language_probe

RANDOM = np.random.default_rng(0)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_anisotropy_is_the_mean_cosine_of_two_sentences() -> None:
    vectors = unit(RANDOM.standard_normal((30, 8)) + 1)
    cosines = vectors @ vectors.T
    assert anisotropy(vectors) == pytest.approx(cosines[~np.eye(30, dtype=bool)].mean())
    assert anisotropy(np.ones((5, 1))) == pytest.approx(1)
    assert abs(anisotropy(unit(RANDOM.standard_normal((2000, 64))))) < 0.005
    assert anisotropy(np.ones((1, 1))) == 0


def test_hubness_is_the_skewness_of_neighbour_counts() -> None:
    queries, candidates = (unit(RANDOM.standard_normal((200, 3)) + shift) for shift in (0, 0.5))
    nearest = np.argsort(-(queries @ candidates.T), 1)[:, :10]
    assert hubness(queries, candidates) == pytest.approx(stats.skew(np.bincount(nearest.ravel(), minlength=200)), abs=1e-6)
    circle = unit(np.stack([np.cos(angles := np.linspace(0, 2 * np.pi, 64, endpoint=False)), np.sin(angles)], 1))
    assert abs(hubness(circle, circle)) < 0.5
    hub = np.concatenate([unit(np.array([[1.0, 1.0]])), -np.ones((63, 2))])
    assert hubness(circle, unit(hub)) > 0.5


def test_a_linear_model_tells_what_can_be_told() -> None:
    meanings = RANDOM.standard_normal((100, 16))
    offsets = 3 * RANDOM.standard_normal((3, 16))
    told, sentences = language_probe({name: meanings + offset for name, offset in zip(("en", "de", "sw"), offsets, strict=True)})
    assert (told, sentences) == ({"en": 1, "de": 1, "sw": 1}, 100)
    same = {name: meanings + 1e-9 * RANDOM.standard_normal((100, 16)) for name in ("en", "de")}
    accuracies, _ = language_probe(same)
    assert 0.3 < np.mean(list(accuracies.values())) < 0.7, "translations are in one fold: a meaning tells nothing"


def test_too_little_is_not_probed() -> None:
    few = RANDOM.standard_normal((4, 3))
    assert language_probe({"en": few, "de": few}) == ({}, 4)
    assert language_probe({"en": RANDOM.standard_normal((20, 3))}) == ({}, 20)


def test_rows_of_a_model() -> None:
    languages = {name: (RANDOM.standard_normal((20, 4)), RANDOM.standard_normal((20, 4))) for name in ("de", "sw")}
    rows = list(geometry_rows("base", "en", languages))
    assert [(row["measure"], row["language"]) for row in rows] == [
        ("anisotropy", "de"),
        ("hubness", "de"),
        ("anisotropy", "sw"),
        ("hubness", "sw"),
        ("anisotropy", None),
        ("language-probe", "en"),
        ("language-probe", "de"),
        ("language-probe", "sw"),
        ("language-probe", None),
    ]
    assert {row["model"] for row in rows} == {"base"}
    assert rows[-1]["value"] == pytest.approx(np.mean([row["value"] for row in rows[5:8]]), abs=1e-6)
    longer = {name: tuple(7.5 * side for side in sides) for name, sides in languages.items()}
    for one, other in zip(rows[:5], geometry_rows("base", "en", longer), strict=False):  # type: ignore[arg-type]
        assert one["value"] == pytest.approx(other["value"], abs=1e-5), "cosines do not depend on the length"
