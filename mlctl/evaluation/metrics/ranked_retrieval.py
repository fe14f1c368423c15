"""Retrieval of several right answers from a pool in many languages: average precision, and the share of answers in the query's language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from mlctl.modeling.nearest_neighbours import MARGIN

#: Number of answers that count, as in XTREME-R.
TOP = 20

_BLOCK_CELLS = 2**24  # similarities of one block of queries


class RankedRetrieval(NamedTuple):
    """Scores of N queries.

    Attributes:
        average_precision: (N,) of the first `TOP` answers, in [0, 1].
        same_language: (N,) share of the first `TOP` answers that are in the query's language.
    """

    average_precision: npt.NDArray[np.float32]
    same_language: npt.NDArray[np.float32]


def ranked_retrieval(
    queries: Tensor, candidates: Tensor, correct: Sequence[Sequence[int]], in_language: Sequence[bool]
) -> RankedRetrieval:
    """Rank all candidates by cosine, exactly.

    The average precision of the first K is the mean of the precisions at the ranks of correct answers, over as many as there could be: the
    correct ones, or K if these are more (LAReQA, arXiv 2004.05484; with one correct answer it is the reciprocal rank). A wrong
    candidate that is as near as a correct one is ranked before it.

    Args:
        queries: (N, H).
        candidates: (M, H).
        correct: rows of the correct candidates of each query, at least one.
        in_language: M values: whether a candidate is in the language of the queries.
    """
    queries, candidates = normalize(queries.float(), dim=1), normalize(candidates.float(), dim=1)
    own = torch.tensor(in_language, device=candidates.device)
    precision, same = list[float](), list[float]()
    for cosines in _blocks(queries, candidates):
        nearest = cosines.topk(min(TOP, len(candidates)), dim=1).indices
        same += own[nearest].float().mean(1).tolist()
        precision += [
            _average_precision(row, rows)
            for row, rows in zip(cosines, correct[len(precision) : len(precision) + len(cosines)], strict=True)
        ]
    return RankedRetrieval(np.array(precision, np.float32), np.array(same, np.float32))


def _blocks(queries: Tensor, candidates: Tensor) -> Iterator[Tensor]:
    rows = max(1, _BLOCK_CELLS // len(candidates))
    for first in range(0, len(queries), rows):
        yield queries[first : first + rows] @ candidates.T


def _average_precision(cosines: Tensor, correct: Sequence[int]) -> float:
    """Return the average precision of one query's cosines (M,)."""
    places = torch.tensor(correct, device=cosines.device)
    found = cosines[places].sort(descending=True).values
    wrong = cosines.index_fill(0, places, -torch.inf)
    before: list[int] = (~(wrong[None] < found[:, None] - MARGIN)).sum(1).tolist()  # NaN is before everything
    ranks = [number + count for number, count in enumerate(before, 1)]
    return sum(number / rank for number, rank in enumerate(ranks, 1) if rank <= TOP) / min(len(ranks), TOP)
