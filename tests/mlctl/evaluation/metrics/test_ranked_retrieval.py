"""Average precision of the first 20 answers against its definition in plain Python, and the share of answers in the query's language."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlctl.evaluation.metrics import ranked_retrieval as module
from mlctl.evaluation.metrics.ranked_retrieval import TOP, ranked_retrieval


def average_precision(right: set[int], ranked: list[int]) -> float:
    hits, total = 0, 0.0
    for place, row in enumerate(ranked[:20], 1):
        if row in right:
            hits += 1
            total += hits / place
    return total / min(len(right), 20)


@given(st.integers(1, 12), st.integers(2, 90), st.integers(0, 10_000))
@settings(max_examples=60)
def test_agrees_with_the_definition(count: int, pool: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    queries, candidates = draw.normal(size=(count, 5)), draw.normal(size=(pool, 5))
    right = [set(draw.choice(pool, size=draw.integers(1, pool), replace=False).tolist()) for _ in range(count)]
    own = (draw.random(pool) < 0.3).tolist()
    found = ranked_retrieval(torch.tensor(queries), torch.tensor(candidates), [sorted(rows) for rows in right], own)
    x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (queries, candidates))
    for row, cosines in enumerate(x @ y.T):
        ranked = np.argsort(-cosines).tolist()
        assert found.average_precision[row] == pytest.approx(average_precision(right[row], ranked), abs=1e-6)
        assert found.same_language[row] == pytest.approx(np.mean([own[other] for other in ranked[:TOP]]), abs=1e-6)


def test_with_one_right_answer_it_is_the_reciprocal_rank_of_the_first_twenty() -> None:
    candidates = torch.stack([torch.cos(torch.arange(30) * 0.05), torch.sin(torch.arange(30) * 0.05)], 1)
    found = ranked_retrieval(candidates[:1].repeat(3, 1), candidates, [[0], [19], [20]], [False] * 30)
    assert found.average_precision.tolist() == pytest.approx([1, 1 / 20, 0])


@pytest.mark.parametrize("value", [1.0, torch.nan])
def test_a_model_that_gives_all_texts_one_vector_finds_nothing(value: float) -> None:
    same = torch.full((40, 4), value)
    assert not ranked_retrieval(same[:3], same, [[0], [1], [2]], [True] * 40).average_precision.any()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    queries, candidates, right = torch.randn(7, 4), torch.randn(30, 4), [[row, row + 9] for row in range(7)]
    whole = ranked_retrieval(queries, candidates, right, [row % 3 == 0 for row in range(30)])
    monkeypatch.setattr(module, "_BLOCK_CELLS", 60)
    parts = ranked_retrieval(queries, candidates, right, [row % 3 == 0 for row in range(30)])
    assert [column.tolist() for column in whole] == [column.tolist() for column in parts]
