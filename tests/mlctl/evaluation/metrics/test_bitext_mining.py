"""Mining against a loop over all pairs in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlctl.evaluation.metrics import bitext_mining
from mlctl.mining.threshold import best_threshold


def by_hand(source: np.ndarray, target: np.ndarray, score: str, k: int) -> list[tuple[int, int]]:
    a, b = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (source, target))
    cosine = a @ b.T
    of_source = [np.sort(row)[::-1][:k].mean() for row in cosine]
    of_target = [np.sort(row)[::-1][:k].mean() for row in cosine.T]
    proposals = []
    for i, row in enumerate(cosine):
        near = np.argsort(-row)[:k]
        values = [row[j] if score == "cosine" else 2 * row[j] / (of_source[i] + of_target[j]) for j in near]
        proposals.append((max(values), i, int(near[int(np.argmax(values))])))
    for j, row in enumerate(cosine.T):
        near = np.argsort(-row)[:k]
        values = [row[i] if score == "cosine" else 2 * row[i] / (of_source[i] + of_target[j]) for i in near]
        proposals.append((max(values), int(near[int(np.argmax(values))]), j))
    taken: tuple[set[int], set[int]] = (set(), set())
    found = []
    for _, i, j in sorted(proposals, key=lambda one: -one[0]):
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            found.append((i, j))
    return found


@pytest.mark.parametrize("score", ["margin", "cosine"])
@pytest.mark.parametrize("k", [1, 4])
@settings(deadline=None)
@given(seed=st.integers(0, 999), sizes=st.tuples(st.integers(4, 30), st.integers(4, 30)))
def test_agrees_with_all_pairs(score: str, k: int, seed: int, sizes: tuple[int, int]) -> None:
    random = np.random.default_rng(seed)
    source, target = (random.normal(size=(size, 6)) + 1.5 for size in sizes)
    found = bitext_mining.mine(torch.tensor(source), torch.tensor(target), score, k)  # type: ignore[arg-type]
    assert set(zip(found.source.tolist(), found.target.tolist(), strict=True)) == set(by_hand(source, target, score, k))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    source, target = (torch.tensor(random.normal(size=(size, 5))) for size in (50, 33))
    whole = bitext_mining.mine(source, target, "margin", 4)
    monkeypatch.setattr(bitext_mining, "_BLOCK_ROWS", 7)
    parts = bitext_mining.mine(source, target, "margin", 4)
    assert whole.source.tolist() == parts.source.tolist()
    np.testing.assert_allclose(whole.score, parts.score, rtol=1e-5)


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=15), st.integers(0, 5))
def test_no_other_threshold_is_better(candidates: list[tuple[int, bool]], missed: int) -> None:
    candidates = sorted(candidates, key=lambda one: -one[0])
    scores, right = [float(score) for score, _ in candidates], [good for _, good in candidates]
    gold = sum(right) + missed

    def f1(minimum: float) -> float:
        taken = [good for score, good in zip(scores, right, strict=True) if score >= minimum]
        return 2 * sum(taken) / (len(taken) + gold) if len(taken) + gold else 0.0

    assert f1(best_threshold(scores, right, gold)) == max(f1(minimum) for minimum in [*scores, 99.0])
