"""The contrastive losses against two independent oracles in float64: equal value, equal gradient.

InfoNCE: sentence-transformers' own loss, with negatives of both sides in one partition, taken from x to y and from y to x.
CZ-NCE: the decoupled contrastive loss (Yeh and others 2021, arXiv 2110.06848, equation 6 without weights; `DCLLoss` of lightly 1.6
computes it, but comes with torchvision and a trainer), written out here from its paper over the 2N views of N samples.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import Tensor

from mlctl.training.losses import cz_nce, info_nce

Loss = Callable[[Tensor, Tensor, float], Tensor]


def multiple_negatives_ranking(x: Tensor, y: Tensor, temperature: float) -> Tensor:
    no_model = cast(Any, None)  # embeddings are given
    loss = MultipleNegativesRankingLoss(
        no_model, scale=1 / temperature, directions=("query_to_doc", "query_to_query"), partition_mode="joint"
    )
    there, back = (loss.compute_loss_from_embeddings(list(sides), no_model) for sides in ((x, y), (y, x)))
    return (there + back) / 2


def decoupled(x: Tensor, y: Tensor, temperature: float) -> Tensor:
    """Sum over samples i and views k of −z_i^k·z_i^k'/τ + log Σ over samples j ≠ i and views l of exp(z_i^k·z_j^l/τ)."""
    views = [side / side.norm(dim=1, keepdim=True) for side in (x, y)]
    total = x.new_zeros(())
    for k in range(2):
        for i in range(len(x)):
            attracted = views[k][i] @ views[1 - k][i] / temperature
            others = [view[j] for view in views for j in range(len(x)) if j != i]
            repelled = [(views[k][i] @ other / temperature).exp() for other in others]
            total = total - attracted + torch.stack(repelled).sum().log()
    return total / (2 * len(x))


def compare(ours: Loss, theirs: Loss, rows: int, size: int, temperature: float, seed: int) -> None:
    """Compare value and gradients for embeddings of any length; some pairs are close, as in training that goes well."""
    generator = torch.Generator().manual_seed(seed)
    x, y, lengths = torch.randn(3, rows, size, dtype=torch.float64, generator=generator).unbind()
    y[: rows // 2] = x[: rows // 2] + 0.1 * y[: rows // 2]
    x = x * lengths.norm(dim=1, keepdim=True)
    value, *gradients = value_and_gradients(ours, x, y, temperature)
    expected, *expected_gradients = value_and_gradients(theirs, x, y, temperature)
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-10)
    largest = max(float(gradient.abs().max()) for gradient in expected_gradients)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-10 * (1 + largest))


def value_and_gradients(loss: Loss, x: Tensor, y: Tensor, temperature: float) -> tuple[Tensor, ...]:
    leaves = [side.clone().requires_grad_() for side in (x, y)]
    value = loss(*leaves, temperature)
    return (value.detach(), *torch.autograd.grad(value, leaves))


sizes = given(rows=st.integers(2, 14), size=st.integers(2, 16), temperature=st.floats(0.03, 2), seed=st.integers(0, 10**6))


@sizes
def test_info_nce_is_the_joint_ranking_loss(rows: int, size: int, temperature: float, seed: int) -> None:
    compare(info_nce, multiple_negatives_ranking, rows, size, temperature, seed)


@sizes
def test_cz_nce_is_the_decoupled_loss(rows: int, size: int, temperature: float, seed: int) -> None:
    compare(cz_nce, decoupled, rows, size, temperature, seed)


def test_at_the_papers_batch_and_temperature() -> None:
    for ours, theirs in ((info_nce, multiple_negatives_ranking), (cz_nce, decoupled)):
        compare(ours, theirs, rows=64, size=32, temperature=0.07, seed=0)
