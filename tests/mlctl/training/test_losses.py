import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mlctl.training.losses import cz_nce, cz_nce_rows, info_nce, info_nce_rows, same_content

Loss = Callable[..., Tensor]
BOTH = pytest.mark.parametrize("loss", [cz_nce, info_nce])


def by_hand(kind: str, x: list[list[float]], y: list[list[float]], temperature: float, same: list[list[bool]]) -> float:
    """The mean of all rows."""
    return sum(rows_by_hand(kind, x, y, temperature, same)) / (2 * len(x))


def rows_by_hand(
    kind: str, x: list[list[float]], y: list[list[float]], temperature: float, same: list[list[bool]]
) -> list[float]:
    """The equations of ML-CTL, row by row in plain Python: those of x, then those of y."""

    def similarity(a: list[float], b: list[float]) -> float:
        length = math.sqrt(sum(p * p for p in a)) * math.sqrt(sum(p * p for p in b))
        return sum(p * q for p, q in zip(a, b, strict=True)) / length / temperature

    losses = []
    for here, there in ((x, y), (y, x)):
        for i in range(len(x)):
            others = [j for j in range(len(x)) if j != i and not same[i][j]]
            negatives = [math.exp(similarity(here[i], side[j])) for side in (here, there) for j in others]
            positive = math.exp(similarity(here[i], there[i]))
            denominator = sum(negatives) + (positive if kind == "info_nce" else 0.0)
            losses.append(-math.log(positive / denominator) if negatives else 0.0)
    return losses


def pair(rows: int, size: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(2, rows, size, dtype=torch.float64, generator=generator).unbind(0)
    return x, y


@BOTH
@given(rows=st.integers(1, 7), seed=st.integers(0, 1000), temperature=st.floats(0.05, 2), masked=st.floats(0, 1))
def test_against_the_formula(loss: Loss, rows: int, seed: int, temperature: float, masked: float) -> None:
    x, y = pair(rows, seed=seed)
    draws = torch.rand(rows, rows, generator=torch.Generator().manual_seed(seed))
    same = (draws < masked) | (draws < masked).T
    expected = by_hand(loss.__name__, x.tolist(), y.tolist(), temperature, same.tolist())
    assert loss(x, y, temperature, same).item() == pytest.approx(expected, rel=1e-10, abs=1e-10)


@BOTH
@given(rows=st.integers(1, 7), seed=st.integers(0, 1000), data=st.data())
def test_weights_make_the_weighted_mean_of_the_rows(loss: Loss, rows: int, seed: int, data: st.DataObject) -> None:
    """Against the equations in plain Python: the loss without weights is the mean of 2N rows, of which each is weighed."""
    x, y = pair(rows, seed=seed)
    weights = data.draw(st.lists(st.floats(0.01, 2), min_size=rows, max_size=rows))
    none = [[False] * rows for _ in range(rows)]
    losses = rows_by_hand(loss.__name__, x.tolist(), y.tolist(), 0.3, none)
    expected = sum(weight * row for weight, row in zip(weights * 2, losses, strict=True)) / (2 * sum(weights))
    found = loss(x, y, 0.3, None, torch.tensor(weights, dtype=torch.float64)).item()
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-10)


@BOTH
@pytest.mark.parametrize("rows", [5, 2049])  # in one part, and in several
def test_equal_weights_change_no_bit(loss: Loss, rows: int) -> None:
    results = []
    for weights in (None, torch.ones(rows)):
        x, y = (side.float().requires_grad_() for side in pair(rows))
        value = loss(x, y, 0.07, None, weights)
        value.backward()
        assert x.grad is not None
        assert y.grad is not None
        results.append((value.detach(), x.grad, y.grad))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


@BOTH
def test_gradcheck_with_weights(loss: Loss) -> None:
    x, y = (side.requires_grad_() for side in pair(4))
    weights = torch.tensor([0.2, 1.7, 0.9, 1.2], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, 0.2, None, weights), (x, y))


@BOTH
def test_gradcheck(loss: Loss) -> None:
    x, y = (side.requires_grad_() for side in pair(5))
    same = torch.zeros(5, 5, dtype=torch.bool)
    same[0, 3] = same[3, 0] = True
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, 0.07, same), (x, y))


@BOTH
def test_sides_can_be_swapped(loss: Loss) -> None:
    x, y = pair(6)
    torch.testing.assert_close(loss(x, y, 0.07), loss(y, x, 0.07))


@BOTH
def test_float32_is_close_to_float64_at_the_papers_temperature(loss: Loss) -> None:
    x, y = pair(64, 32)
    torch.testing.assert_close(loss(x.float(), y.float(), 0.07).double(), loss(x, y, 0.07), rtol=1e-5, atol=1e-5)


@BOTH
def test_bf16_input_under_autocast_is_computed_in_fp32(loss: Loss) -> None:
    x, y = (side.bfloat16() for side in pair(16))
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(x, y, 0.07)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(x.float(), y.float(), 0.07))


def test_cz_nce_goes_below_zero_down_to_its_floor() -> None:
    rows, temperature = 64, 0.07
    # The corners of a simplex are as far apart as 64 directions can be.
    corners = torch.eye(rows, dtype=torch.float64) - 1 / rows
    floor = math.log(2 * rows - 2) - (1 + 1 / (rows - 1)) / temperature
    assert cz_nce(corners, corners, temperature).item() == pytest.approx(floor)
    assert floor < -9


@pytest.mark.parametrize(("gap", "kind"), [(10.0, torch.bfloat16), (20.0, torch.float32)])
def test_cz_nce_still_learns_where_info_nce_has_no_gradient(gap: float, kind: torch.dtype) -> None:
    gradients = {}
    for rows in (cz_nce_rows, info_nce_rows):
        positive = torch.tensor([gap], dtype=kind, requires_grad=True)
        rows(positive, torch.zeros(1, 1, dtype=kind)).sum().backward()
        gradients[rows] = positive.grad.item()  # type: ignore[union-attr]
    assert gradients == {cz_nce_rows: -1.0, info_nce_rows: 0.0}


@BOTH
def test_huge_similarities_do_not_overflow(loss: Loss) -> None:
    x, y = (side.float().requires_grad_() for side in pair(4))
    value = loss(x, y, 1e-4)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(x.grad).all()  # type: ignore[arg-type]


@BOTH
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_rows_without_negatives_count_as_zero(loss: Loss, rows: int) -> None:
    x, y = (side.requires_grad_() for side in pair(rows))
    value = loss(x, y, 0.07, torch.ones(rows, rows, dtype=torch.bool))
    value.backward()
    assert value.item() == 0
    assert not x.grad.any()  # type: ignore[union-attr]


@BOTH
def test_one_row_without_negatives_leaves_the_others_alone(loss: Loss) -> None:
    x, y = pair(4)
    same = torch.zeros(4, 4, dtype=torch.bool)
    same[0, :] = same[:, 0] = True
    torch.testing.assert_close(loss(x, y, 0.07, same) * 4, loss(x[1:], y[1:], 0.07) * 3)


def ids(*numbers: int) -> Tensor:
    return torch.tensor(numbers)


def spans(*pairs: tuple[int, int]) -> Tensor:
    return torch.tensor(pairs)


def off_diagonal(same: Tensor) -> list[tuple[int, int]]:
    assert torch.equal(same, same.T)
    assert same.diagonal().all()
    return [(i, j) for i, j in same.nonzero().tolist() if i < j]


def test_alike_sentences_share_an_identity_on_any_side() -> None:
    # 0 and 1 share the source, 1 and 2 the target; the source of 4 is the target of 3.
    same = same_content((ids(1, 1, 2, 3, 9), ids(5, 6, 6, 9, 8)))
    assert off_diagonal(same) == [(0, 1), (1, 2), (3, 4)]


def test_word_pairs_of_one_pair_are_negatives_of_each_other() -> None:
    same = same_content((ids(1, 1, 1), ids(5, 5, 5)), (spans((1, 2), (2, 4), (4, 5)), spans((3, 4), (1, 2), (2, 3))))
    assert off_diagonal(same) == []


def test_word_pairs_that_share_a_word_are_not() -> None:
    # Word pairs 0 and 1 have the same source word; 1 and 2 have target words that overlap.
    same = same_content((ids(1, 1, 1), ids(5, 5, 5)), (spans((1, 2), (1, 2), (2, 3)), spans((1, 2), (2, 4), (3, 5))))
    assert off_diagonal(same) == [(0, 1), (1, 2)]


def test_same_word_of_a_sentence_that_occurs_twice() -> None:
    # Rows 0 and 1 have the same source sentence and another translation: the same word in 0 and 1, another word in 2.
    same = same_content((ids(1, 1, 1), ids(5, 6, 6)), (spans((1, 2), (1, 2), (2, 3)), spans((1, 2), (7, 8), (1, 2))))
    assert off_diagonal(same) == [(0, 1)]


def test_same_span_of_different_sentences_is_a_negative() -> None:
    assert off_diagonal(same_content((ids(1, 2), ids(5, 6)), (spans((1, 2), (1, 2)), spans((1, 2), (1, 2))))) == []


@BOTH
@pytest.mark.parametrize("rows", [5, 11])
def test_many_samples_are_taken_in_parts(loss: Loss, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (side.requires_grad_() for side in pair(rows))
    same = torch.rand(rows, rows, generator=torch.Generator().manual_seed(1)) < 0.3
    at_once = loss(x, y, 0.07, same | same.T)
    reference = torch.autograd.grad(at_once, (x, y))
    monkeypatch.setattr("mlctl.training.losses._ROWS_IN_MEMORY", 4)
    in_parts = loss(x, y, 0.07, same | same.T)
    torch.testing.assert_close(in_parts, at_once, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(in_parts, (x, y)), reference, rtol=1e-10, atol=1e-12)
