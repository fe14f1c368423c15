"""Bitext mining: which sentences of two texts translate each other, by cosine or margin over all pairs.

Symbols: N and M sentences of the two texts, H size of the vectors, K neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

_ROWS = 1024
_TINY = 1e-6


class Candidates(NamedTuple):
    """Pairs that may be translations: every sentence of either text once at most, best first.

    Attributes:
        source: (P,) row of the one text.
        target: (P,) row of the other.
        score: (P,) what they were sorted by.
    """

    source: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]


class _Near(NamedTuple):
    """Nearest neighbours: cosines (N, K) from the highest down, and their rows."""

    cosines: Tensor
    rows: Tensor


def mine(source: Tensor, target: Tensor, score: Literal["margin", "cosine"], neighbours: int) -> Candidates:
    """Return the best pairs over all N × M, exactly (arXiv 1811.01136, section 3, retrieval "max").

    Each sentence, of either text, proposes the best of its K nearest neighbours; proposals are taken from the best down unless one of
    the two sentences is taken. The margin is the ratio of their cosine to the mean cosine of both with their K neighbours.

    Args:
        source: (N, H).
        target: (M, H).
        score: margin or cosine.
        neighbours: K.
    """
    source, target = normalize(source.float(), dim=1), normalize(target.float(), dim=1)
    forward, backward = _nearest(source, target, neighbours)
    means = forward.cosines.mean(1), backward.cosines.mean(1)
    proposed = [
        _best(forward, means[0], means[1], score),
        _best(backward, means[1], means[0], score),
    ]
    rows = [torch.arange(len(side), device=source.device) for side in (source, target)]
    sources = torch.cat([rows[0], proposed[1][0]]).cpu().numpy()
    targets = torch.cat([proposed[0][0], rows[1]]).cpu().numpy()
    return _one_to_one(sources, targets, torch.cat([proposed[0][1], proposed[1][1]]).double().cpu().numpy())


def threshold(scores: Sequence[float], right: Sequence[bool], gold: int) -> float:
    """Return the score from which on pairs are taken, that of the highest F1; halfway to the next lower score.

    Args:
        scores: of P candidates, from the highest down.
        right: whether each is a gold pair.
        gold: how many gold pairs there are.
    """
    if not any(right):
        return float("inf")
    found = np.cumsum(right)
    f1 = 2 * found / (np.arange(1, len(found) + 1) + gold)
    last = np.append(np.diff(scores) != 0, True)  # of equal scores all are taken or none
    best = int(np.argmax(np.where(last, f1, -1)))
    return float(scores[best]) if best + 1 == len(found) else (scores[best] + scores[best + 1]) / 2


def _nearest(source: Tensor, target: Tensor, neighbours: int) -> tuple[_Near, _Near]:
    """Return the neighbours of each sentence in the other text, from blocks of one N × M product."""
    forth, back = min(neighbours, len(target)), min(neighbours, len(source))
    forward: list[_Near] = []
    backward = _Near(target.new_empty((0, len(target))), torch.empty((0, len(target)), dtype=torch.long, device=target.device))
    for first in range(0, len(source), _ROWS):
        near = source[first : first + _ROWS] @ target.T
        forward.append(_Near(*near.topk(forth, dim=1)))
        best = near.topk(min(back, len(near)), dim=0)
        backward = _kept(backward, _Near(best.values, best.indices + first), back)
    whole = _Near(torch.cat([one.cosines for one in forward]), torch.cat([one.rows for one in forward]))
    return whole, _Near(backward.cosines.T, backward.rows.T)


def _kept(old: _Near, new: _Near, most: int) -> _Near:
    """Return the best of two lists (K, M) of neighbours."""
    cosines, rows = (torch.cat(pair) for pair in zip(old, new, strict=True))
    best = cosines.topk(min(most, len(cosines)), dim=0)
    return _Near(best.values, rows.gather(0, best.indices))


def _best(near: _Near, own: Tensor, other: Tensor, score: str) -> tuple[Tensor, Tensor]:
    """Return of each sentence the best neighbour and its score, from the mean cosines of both texts' sentences."""
    scores = near.cosines
    if score == "margin":
        scores = scores / ((own[:, None] + other[near.rows]) / 2).clamp(min=_TINY)
    best = scores.argmax(1, keepdim=True)
    return near.rows.gather(1, best)[:, 0], scores.gather(1, best)[:, 0]


def _one_to_one(sources: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> Candidates:
    order = np.lexsort((targets, sources, -scores))  # equal scores: by place, so that no machine decides
    taken: tuple[set[int], set[int]] = (set(), set())
    kept = []
    for place in order.tolist():
        source, target = int(sources[place]), int(targets[place])
        if source not in taken[0] and target not in taken[1]:
            taken[0].add(source)
            taken[1].add(target)
            kept.append(place)
    return Candidates(sources[kept], targets[kept], scores[kept])
