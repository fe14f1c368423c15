"""Exact nearest-neighbour retrieval by cosine, as in the Tatoeba benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import normalize

#: A right answer has to be nearer than every wrong one by more than this cosine: rounding decides nothing, and a model that
#: gives all sentences one vector answers nothing.
MARGIN = 1e-6

_ROWS = 1024


def hits(queries: torch.Tensor, candidates: torch.Tensor, identities: torch.Tensor) -> torch.Tensor:
    """Return for each query whether its nearest candidate is a right one, (N,) bool.

    Args:
        queries: (N, H).
        candidates: (N, H); row i is the translation of query i.
        identities: (N, K) integers; candidate j is right for query i, too, where they have one of the K columns in common
            (the same sentence twice among the candidates).

    A tie between a right and a wrong candidate counts as wrong.
    """
    queries, candidates = normalize(queries.float(), dim=1), normalize(candidates.float(), dim=1)
    identities = identities.to(queries.device)
    found = []
    for first in range(0, len(queries), _ROWS):
        rows = slice(first, first + _ROWS)
        near = queries[rows] @ candidates.T
        right = (identities[rows, None, :] == identities[None, :, :]).any(dim=2)
        best_right = near.masked_fill(~right, -torch.inf).amax(dim=1)
        best_wrong = near.masked_fill(right, -torch.inf).amax(dim=1)
        found.append(best_right > best_wrong + MARGIN)
    return torch.cat(found)


def accuracy(queries: torch.Tensor, candidates: torch.Tensor, identities: torch.Tensor) -> float:
    """Return the share of `hits`, in [0, 1]."""
    return int(hits(queries, candidates, identities).sum()) / len(queries)


def same_texts(texts: Sequence[str]) -> list[int]:
    """Return a number for each text, equal for equal texts."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(text, len(numbers)) for text in texts]
