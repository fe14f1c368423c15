"""xSIM and xSIM++ against their formula in float64."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlctl.evaluation.metrics.xsim import MISALIGNED, align_by_margin, error_shares


def nearest(source: np.ndarray, target: np.ndarray, neighbours: int) -> list[int]:
    """Return the target with the largest ratio margin among the nearest ones, one sentence after another."""
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (source, target))
    cosines = x @ y.T
    of_source = np.sort(cosines, axis=1)[:, ::-1][:, :neighbours].mean(1)
    of_target = np.sort(cosines, axis=0)[::-1][:neighbours].mean(0)
    best = []
    for row, values in enumerate(cosines):
        candidates = np.argsort(-values)[:neighbours]
        margins = [values[j] / ((of_source[row] + of_target[j]) / 2) for j in candidates]
        best.append(int(candidates[int(np.argmax(margins))]))
    return best


@given(st.integers(5, 30), st.integers(0, 40), st.integers(1, 5), st.integers(0, 10_000))
@settings(max_examples=60)
def test_the_largest_margin_counts_and_errors_have_the_category_of_what_was_taken(
    count: int, more: int, neighbours: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    centre = 2 * draw.normal(size=6)  # as embeddings: no negative margins
    target = centre + draw.normal(size=(count + more, 6))
    source = target[:count] + 0.8 * draw.normal(size=(count, 6))
    altered = [(str(draw.integers(count)), str(draw.choice(["number", "entity"]))) for _ in range(more)]
    texts = [str(row) for row in range(count + more)]
    alignment = align_by_margin(torch.tensor(source), torch.tensor(target), texts, neighbours)
    expected = nearest(source.astype(np.float32).astype(np.float64), target.astype(np.float32).astype(np.float64), neighbours)
    assert alignment.correct.tolist() == [row == found for row, found in enumerate(expected)]
    errors = Counter[str]()
    for row, found in enumerate(expected):
        if found != row:
            of = altered[found - count] if found >= count else ("", "")
            errors[of[1] if of[0] == str(row) else MISALIGNED] += 1
    shares = error_shares(alignment, texts[:count], [*([None] * count), *altered])
    assert {name: share for name, share in shares.items() if share} == pytest.approx(
        {name: number / count for name, number in errors.items()}
    )
    assert set(shares) == {MISALIGNED, *(category for _, category in altered)}
    assert sum(shares.values()) == pytest.approx(1 - alignment.correct.mean())


def test_another_sentence_with_the_text_of_the_translation_is_right() -> None:
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.3]])
    source = torch.tensor([[1.0, 0.31], [0.0, 1.0], [1.0, 0.0]])
    assert align_by_margin(source, target, ["a", "b", "c"], 1).correct.tolist() == [False, True, False]
    assert align_by_margin(source, target, ["a", "b", "a"], 1).correct.tolist() == [True, True, True]


@pytest.mark.parametrize("value", [1.0, torch.nan])
def test_a_model_that_gives_all_sentences_one_vector_aligns_nothing(value: float) -> None:
    same = torch.full((8, 4), value)
    assert not align_by_margin(same, same, [str(row) for row in range(8)], 4).correct.any()
