"""Nearest-neighbour accuracy against cases computed by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlctl.evaluation.metrics.retrieval import accuracy


def distinct(count: int) -> torch.Tensor:
    return torch.arange(count)[:, None]


def test_counts_the_queries_whose_translation_is_nearest() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    candidates = torch.tensor([[2.0, 0.1], [0.1, 5.0], [0.6, -0.5]])  # only the third is off
    assert accuracy(queries, candidates, distinct(3)) == pytest.approx(2 / 3)


def test_length_of_vectors_does_not_matter() -> None:
    queries, candidates = torch.eye(4), torch.eye(4) * torch.tensor([1.0, 100.0, 1e-3, 7.0])[:, None]
    assert accuracy(queries, candidates, distinct(4)) == 1.0


@pytest.mark.parametrize("noise", [0.0, 1e-8])
def test_a_model_that_gives_all_sentences_one_vector_answers_nothing(noise: float) -> None:
    torch.manual_seed(0)
    same = torch.ones(50, 8) + noise * torch.randn(50, 8)
    assert accuracy(same, same, distinct(50)) == 0.0


def test_a_model_that_diverged_answers_nothing() -> None:
    broken = torch.full((5, 3), torch.nan)
    assert accuracy(broken, broken, distinct(5)) == 0.0


def test_the_same_sentence_twice_is_right_twice() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]])
    candidates = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert accuracy(queries, candidates, distinct(3)) == pytest.approx(1 / 3), "rows 0 and 2 tie"
    identities = torch.tensor([[10, 1], [11, 2], [12, 1]])  # targets of rows 0 and 2 are equal
    assert accuracy(queries, candidates, identities) == 1.0


@given(st.integers(2, 40), st.integers(0, 1000))
def test_agrees_with_rows_looped_in_plain_python(count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries, candidates = torch.randn(count, 5, generator=generator), torch.randn(count, 5, generator=generator)
    hits = 0
    for row in range(count):
        cosines = [float(torch.cosine_similarity(queries[row].double(), other.double(), dim=0)) for other in candidates]
        hits += max(range(count), key=cosines.__getitem__) == row
    assert accuracy(queries, candidates, distinct(count)) == pytest.approx(hits / count)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    queries = torch.randn(70, 6)
    candidates = queries + torch.randn(70, 6)
    whole = accuracy(queries, candidates, distinct(70))
    monkeypatch.setattr("mlctl.modeling.nearest_neighbours._BLOCK_ROWS", 7)
    assert 0 < whole < 1
    assert accuracy(queries, candidates, distinct(70)) == whole
