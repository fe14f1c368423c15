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

RowLoss = Callable[[Tensor, Tensor], Tensor]

_AT_ONCE = (
    4096  # samples whose similarities with all others are in memory together; of more, they are computed again on the way back
)


def cz_nce(x: Tensor, y: Tensor, temperature: float | Tensor, same: Tensor | None = None) -> Tensor:
    """Return the CZ-NCE loss of x (N, D) and y (N, D), the mean of log Σ e^(s− − s+) over the 2N samples of both sides.

    It passes below zero where the positive leads: never clamp it. Down to log(2N − 2) − (1 + 1/(N − 1))/τ.

    Args:
        x: embeddings of one side.
        y: embeddings of the other; row i says the same as row i of x.
        temperature: τ; a scalar tensor where it is learned.
        same: (N, N) symmetric; true where samples i and j are not to be each other's negatives, on any side. The diagonal
            is not read: row i of the other side is always the positive. A sample left without negatives counts as 0.
    """
    return _mean_loss(cz_nce_rows, x, y, temperature, same)


def info_nce(x: Tensor, y: Tensor, temperature: float | Tensor, same: Tensor | None = None) -> Tensor:
    """Return the InfoNCE loss, the mean of −log(e^s+ / (e^s+ + Σ e^s−)); arguments as in `cz_nce`."""
    return _mean_loss(info_nce_rows, x, y, temperature, same)


CONTRASTIVE: dict[Literal["cz-nce", "info-nce"], Callable[..., Tensor]] = {"cz-nce": cz_nce, "info-nce": info_nce}


def cz_nce_rows(positive: Tensor, negatives: Tensor) -> Tensor:
    """Return log Σ e^(s− − s+) of each row, (R,), for s+ (R,) and s− (R, M), −inf where there is no negative.

    The gradient by s+ is −1 however far the positive leads. A row without negatives gives 0.
    """
    empty = torch.isneginf(negatives).all(dim=1)
    negatives = negatives.masked_fill(empty.unsqueeze(1), 0.0)
    return (torch.logsumexp(negatives, dim=1) - positive).masked_fill(empty, 0.0)


def info_nce_rows(positive: Tensor, negatives: Tensor) -> Tensor:
    """Return −log(e^s+ / (e^s+ + Σ e^s−)) of each row, (R,); arguments as in `cz_nce_rows`."""
    return torch.logsumexp(torch.cat([positive.unsqueeze(1), negatives], dim=1), dim=1) - positive


def alike(identities: tuple[Tensor, Tensor], spans: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Tell which samples are not to be each other's negatives, (N, N): those that show the same thing on some side.

    Two sentences are the same when any identity of one is an identity of the other: translations of equal sentences are
    translations of each other. Two words are the same when, besides, their spans in that equal sentence overlap. So the
    word pairs of one sentence pair stay each other's hard negatives, as do different words of a sentence that occurs twice;
    the same word of such a sentence does not, nor do two word pairs of a pair that share a word on one side.

    Args:
        identities: (N,) int64 of the source and of the target side.
        spans: (N, 2) of the source and of the target side, half-open; None: sentences are compared, not words.
    """
    same = torch.zeros(len(identities[0]), len(identities[0]), dtype=torch.bool, device=identities[0].device)
    for one in range(2):
        for other in range(2):
            equal = identities[one].unsqueeze(1) == identities[other]
            same |= equal if spans is None else equal & _overlap(spans[one], spans[other])
    return same


def _overlap(one: Tensor, other: Tensor) -> Tensor:
    return (one[:, :1] < other[:, 1]) & (other[:, 0] < one[:, 1:])


def _mean_loss(rows: RowLoss, x: Tensor, y: Tensor, temperature: float | Tensor, same: Tensor | None) -> Tensor:
    """Average a row loss over the samples of both sides; 0 where there is no sample."""

    def total(here: Tensor, positive: Tensor, excluded: Tensor, both: Tensor) -> Tensor:
        negatives = (here @ both.T / temperature).masked_fill(excluded.repeat(1, 2), float("-inf"))
        return rows(positive, negatives).sum()

    with torch.autocast(x.device.type, enabled=False):  # bf16 similarities are off by 0.03 after division by τ
        x, y = functional.normalize(full_precision(x), dim=1), functional.normalize(full_precision(y), dim=1)
        both = torch.cat([x, y])
        positive = (x * y).sum(dim=1).repeat(2) / temperature
        excluded = _excluded(same, x).repeat(2, 1)
        if len(both) <= _AT_ONCE:
            return total(both, positive, excluded, both) / max(len(both), 1)
        parts = zip(*(torch.split(whole, _AT_ONCE) for whole in (both, positive, excluded)), strict=True)
        totals = [checkpoint(total, *part, both, use_reentrant=False, preserve_rng_state=False) for part in parts]
        return torch.stack(totals).sum() / len(both)


def _excluded(same: Tensor | None, x: Tensor) -> Tensor:
    """Return which samples are no negatives of each other on either side, (N, N): itself (or its positive), and its likes."""
    itself = torch.eye(len(x), dtype=torch.bool, device=x.device)
    return itself if same is None else itself | same
