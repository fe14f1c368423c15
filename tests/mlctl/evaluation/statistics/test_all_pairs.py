"""Tests of every pair are those of `paired_tests.compare` for each pair."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlctl.evaluation.statistics.all_pairs import compare_pairs, resample
from mlctl.evaluation.statistics.paired_tests import ItemMatrix, compare, mean

RESAMPLES = 60
Language = tuple[list[int], ItemMatrix]


@st.composite
def languages(draw: st.DrawFn) -> tuple[int, dict[str, Language]]:
    """Two to four models; in each language some of them, with the same seeds and items; scores of accuracy or of F1."""
    models = draw(st.integers(2, 4))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    seeds, made = draw(st.integers(1, 3)), {}
    for name in ("de", "fr", "sw")[: draw(st.integers(1, 3))]:
        present = sorted(draw(st.sets(st.integers(0, models - 1), min_size=1)))
        shape = len(present), seeds, draw(st.integers(1, 30))
        whole = random.integers(0, 4, shape) if draw(st.booleans()) else np.ones(shape)
        made[name] = present, ItemMatrix(np.minimum(random.integers(0, 4, shape), whole).astype(float), whole.astype(float))
    return models, made


@settings(max_examples=40)
@given(languages())
def test_each_pair_is_compared_as_alone(made: tuple[int, dict[str, Language]]) -> None:
    models, by_language = made
    resampled = {name: (present, resample(matrix, RESAMPLES, 3)) for name, (present, matrix) in by_language.items()}
    tests = compare_pairs(resampled, models)
    for index, (first, second) in enumerate(itertools.combinations(range(models), 2)):
        alone = [
            compare(*(ItemMatrix(*(side[present.index(model)] for side in matrix)) for model in (first, second)), RESAMPLES, 3)
            for present, matrix in by_language.values()
            if first in present and second in present
        ]
        found = [column[index] for column in vars(tests).values()]
        if not alone:
            assert np.isnan(found).all()
            continue
        one = mean(alone)
        np.testing.assert_allclose(found, [one.difference, *one.confidence_interval(), one.p_value()], atol=1e-12)


def test_one_model_has_no_pairs() -> None:
    items = ItemMatrix(np.ones((1, 1, 5)), np.ones((1, 1, 5)))
    assert [len(column) for column in vars(compare_pairs({"de": ([0], resample(items, 10, 0))}, 1)).values()] == [0, 0, 0, 0]
