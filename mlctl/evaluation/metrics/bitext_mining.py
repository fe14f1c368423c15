"""Bitext mining: finds the sentences of two texts that are translations, by cosine or margin over all pairs.

Symbols: N and M sentences of the two texts, H size of the embeddings, K neighbours.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

_BLOCK_ROWS = 1024
_EPSILON = 1e-6


class Candidates(NamedTuple):
    """Candidate translation pairs: every sentence of either text at most once, best first.

    Attributes:
        source: (P,) rows of the source text.
        target: (P,) rows of the target text.
        score: (P,) what they are sorted by.
    """

    source: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]


class _Neighbours(NamedTuple):
    """Nearest neighbours: cosines (N, K) in descending order, and their rows."""

    cosines: Tensor
    rows: Tensor


def mine(source: Tensor, target: Tensor, score: Literal["margin", "cosine"], neighbours: int) -> Candidates:
    """Return the best pairs over all N × M, exactly (arXiv 1811.01136, section 3, retrieval "max").

    Each sentence, of either text, proposes the best of its K nearest neighbours; proposals are accepted from the best down unless one
    of the two sentences is used already. The margin is the ratio of their cosine to the mean cosine of both with their K neighbours.

    Args:
        source: (N, H).
        target: (M, H).
        score: margin or cosine.
        neighbours: K.
    """
    source, target = normalize(source.float(), dim=1), normalize(target.float(), dim=1)
    forward, backward = _nearest(source, target, neighbours)
    means = forward.cosines.mean(1), backward.cosines.mean(1)
    forward_rows, forward_scores = _best(forward, _scores(forward, means[0], means[1], score))
    backward_rows, backward_scores = _best(backward, _scores(backward, means[1], means[0], score))
    source_rows, target_rows = (torch.arange(len(side), device=source.device) for side in (source, target))
    sources = torch.cat([source_rows, backward_rows]).cpu().numpy()
    targets = torch.cat([forward_rows, target_rows]).cpu().numpy()
    return _one_to_one(sources, targets, torch.cat([forward_scores, backward_scores]).double().cpu().numpy())


def nearest_by_margin(source: Tensor, target: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """Return for each sentence of the source text its K nearest targets (N, K), as rows, and their margins (N, K).

    Args:
        source: (N, H).
        target: (M, H).
        neighbours: K, or M if that is smaller.
    """
    forward, backward = _nearest(normalize(source.float(), dim=1), normalize(target.float(), dim=1), neighbours)
    return forward.rows, _scores(forward, forward.cosines.mean(1), backward.cosines.mean(1), "margin")


def _nearest(source: Tensor, target: Tensor, neighbours: int) -> tuple[_Neighbours, _Neighbours]:
    """Return the neighbours of each sentence in the other text, from blocks of one N × M product."""
    forward_count, backward_count = min(neighbours, len(target)), min(neighbours, len(source))
    blocks: list[_Neighbours] = []
    backward = _Neighbours(
        target.new_empty((0, len(target))), torch.empty((0, len(target)), dtype=torch.long, device=target.device)
    )
    for first in range(0, len(source), _BLOCK_ROWS):
        cosines = source[first : first + _BLOCK_ROWS] @ target.T
        blocks.append(_Neighbours(*cosines.topk(forward_count, dim=1)))
        best = cosines.topk(min(backward_count, len(cosines)), dim=0)
        backward = _merge(backward, _Neighbours(best.values, best.indices + first), backward_count)
    forward = _Neighbours(torch.cat([block.cosines for block in blocks]), torch.cat([block.rows for block in blocks]))
    return forward, _Neighbours(backward.cosines.T, backward.rows.T)


def _merge(first: _Neighbours, second: _Neighbours, count: int) -> _Neighbours:
    """Return the `count` best of two lists (K, M) of neighbours."""
    cosines, rows = (torch.cat(pair) for pair in zip(first, second, strict=True))
    best = cosines.topk(min(count, len(cosines)), dim=0)
    return _Neighbours(best.values, rows.gather(0, best.indices))


def _scores(near: _Neighbours, own_means: Tensor, other_means: Tensor, score: str) -> Tensor:
    """Return the score of each neighbour (N, K); the means are of both texts' cosines with their neighbours."""
    if score == "cosine":
        return near.cosines
    return near.cosines / ((own_means[:, None] + other_means[near.rows]) / 2).clamp(min=_EPSILON)


def _best(near: _Neighbours, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best neighbour of each sentence and its score."""
    best = scores.argmax(1, keepdim=True)
    return near.rows.gather(1, best)[:, 0], scores.gather(1, best)[:, 0]


def _one_to_one(sources: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> Candidates:
    order = np.lexsort((targets, sources, -scores))  # equal scores: by row, so that the result is the same on every machine
    used_sources, used_targets = set[int](), set[int]()
    accepted = []
    for index in order.tolist():
        source, target = int(sources[index]), int(targets[index])
        if source not in used_sources and target not in used_targets:
            used_sources.add(source)
            used_targets.add(target)
            accepted.append(index)
    return Candidates(sources[accepted], targets[accepted], scores[accepted])
