"""The contrastive losses as pure functions of tensors (arXiv 2202.13083, equations of InfoNCE and CZ-NCE).

Symbols: N samples, D size of an embedding, s = cos/τ. For sample i of one side, the positive is sample i of the other side;
negatives are all other samples of the other side and all other samples of its own: 2N − 2 of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from mlctl.modeling.pooling import full_precision

#: Rows of the similarity matrix in memory at a time; of more samples, they are recomputed in the backward pass.
_ROWS_IN_MEMORY = 4096


def cz_nce(
    x: Tensor, y: Tensor, temperature: float | Tensor, excluded: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    """Return the CZ-NCE loss of x (N, D) and y (N, D), the mean of log Σ e^(s− − s+) over the 2N samples of both sides.

    It falls below zero where the positive has the largest similarity, down to log(2N − 2) − (1 + 1/(N − 1))/τ: never clamp it.

    Args:
        x: embeddings of one side.
        y: embeddings of the other side; row i has the same meaning as row i of x.
        temperature: τ; a scalar tensor where it is learned.
        excluded: (N, N) symmetric; true where samples i and j are excluded as negatives of each other, on any side. The diagonal
            is not read: row i of the other side is always the positive. A sample left without negatives counts as 0.
        weights: (N,) positive; the mean is Σ w_i (ℓ_i + ℓ'_i) / Σ 2 w_i over the losses ℓ, ℓ' of sample i on both sides. They weigh a
            sample as a query and positive, not as a negative of others. None, as all ones, gives the plain mean.
    """
    return _contrastive_loss(x, y, temperature, excluded, weights, positive_in_denominator=False)


def info_nce(
    x: Tensor, y: Tensor, temperature: float | Tensor, excluded: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    """Return the InfoNCE loss, the mean of −log(e^s+ / (e^s+ + Σ e^s−)); arguments as in `cz_nce`."""
    return _contrastive_loss(x, y, temperature, excluded, weights, positive_in_denominator=True)


#: The losses by the value of the setting `train.loss`.
CONTRASTIVE_LOSSES: dict[Literal["cz-nce", "info-nce"], Callable[..., Tensor]] = {"cz-nce": cz_nce, "info-nce": info_nce}


def cz_nce_rows(positive: Tensor, negatives: Tensor) -> Tensor:
    """Return log Σ e^(s− − s+) of each row, (R,), for s+ (R,) and s− (R, M), −inf where there is no negative.

    The gradient by s+ is −1 however large s+ is. A row without negatives gives 0.
    """
    empty = torch.isneginf(negatives).all(dim=1)
    negatives = negatives.masked_fill(empty.unsqueeze(1), 0.0)
    return (torch.logsumexp(negatives, dim=1) - positive).masked_fill(empty, 0.0)


def info_nce_rows(positive: Tensor, negatives: Tensor) -> Tensor:
    """Return −log(e^s+ / (e^s+ + Σ e^s−)) of each row, (R,); arguments as in `cz_nce_rows`."""
    return torch.logsumexp(torch.cat([positive.unsqueeze(1), negatives], dim=1), dim=1) - positive


def same_content(identities: tuple[Tensor, Tensor], spans: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Return which samples have the same sentence or word on some side, (N, N): they must not be each other's negatives.

    Two sentences are the same when any identity of one is an identity of the other: translations of equal sentences are
    translations of each other. Two words are the same when, besides, their spans in that equal sentence overlap. So the
    word pairs of one sentence pair stay each other's hard negatives, as do different words of a sentence that occurs twice;
    the same word of such a sentence does not, nor do two word pairs of a pair that share a word on one side.

    Args:
        identities: (N,) int64 of the source and of the target side.
        spans: (N, 2) of the source and of the target side, half-open; None: sentences are compared, not words.
    """
    same = torch.zeros(len(identities[0]), len(identities[0]), dtype=torch.bool, device=identities[0].device)
    for first in range(2):
        for second in range(2):
            equal = identities[first].unsqueeze(1) == identities[second]
            same |= equal if spans is None else equal & _overlap(spans[first], spans[second])
    return same


def _overlap(first: Tensor, second: Tensor) -> Tensor:
    return (first[:, :1] < second[:, 1]) & (second[:, 0] < first[:, 1:])


def _contrastive_loss(
    x: Tensor,
    y: Tensor,
    temperature: float | Tensor,
    excluded: Tensor | None,
    weights: Tensor | None,
    positive_in_denominator: bool,
) -> Tensor:
    """Return the mean loss of the samples of both sides; 0 where there is no sample."""

    def row_loss_sum(queries: Tensor, positive: Tensor, mask: Tensor, weights: Tensor, candidates: Tensor) -> Tensor:
        negatives = (queries @ candidates.T / temperature).masked_fill(mask.repeat(1, 2), float("-inf"))
        rows = info_nce_rows(positive, negatives) if positive_in_denominator else cz_nce_rows(positive, negatives)
        return (rows * weights).sum()

    with torch.autocast(x.device.type, enabled=False):  # bf16 similarities are off by 0.03 after division by τ
        x, y = functional.normalize(full_precision(x), dim=1), functional.normalize(full_precision(y), dim=1)
        both = torch.cat([x, y])
        positive = (x * y).sum(dim=1).repeat(2) / temperature
        diagonal = torch.eye(len(x), dtype=torch.bool, device=x.device)  # the sample itself, or its positive
        mask = (diagonal if excluded is None else diagonal | excluded).repeat(2, 1)
        both_weights = torch.ones_like(positive) if weights is None else weights.repeat(2).to(positive.dtype)
        count = max(len(both), 1) if weights is None else both_weights.sum().clamp(min=torch.finfo(both.dtype).tiny)
        if len(both) <= _ROWS_IN_MEMORY:
            return row_loss_sum(both, positive, mask, both_weights, both) / count
        parts = zip(*(torch.split(tensor, _ROWS_IN_MEMORY) for tensor in (both, positive, mask, both_weights)), strict=True)
        sums = [checkpoint(row_loss_sum, *part, both, use_reentrant=False, preserve_rng_state=False) for part in parts]
        return torch.stack(sums).sum() / count
