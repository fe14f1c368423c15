"""Exact nearest-neighbour retrieval of translations by cosine."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

#: A correct candidate has to be nearer than every wrong one by more than this cosine: rounding decides nothing, and a model that
#: gives all sentences one vector has an accuracy of 0.
MARGIN = 1e-6

_BLOCK_ROWS = 1024


def hits(queries: torch.Tensor, candidates: torch.Tensor, identities: torch.Tensor) -> torch.Tensor:
    """Return for each query whether its nearest candidate is correct, (N,) bool.

    Args:
        queries: (N, H).
        candidates: (N, H); row i is the translation of query i.
        identities: (N, K) integers; candidate j is correct for query i, too, if they are equal in one of the K columns
            (the same sentence twice among the candidates).

    A tie between a correct and a wrong candidate counts as wrong.
    """
    queries, candidates = normalize(queries.float(), dim=1), normalize(candidates.float(), dim=1)
    identities = identities.to(queries.device)
    blocks = []
    for first in range(0, len(queries), _BLOCK_ROWS):
        rows = slice(first, first + _BLOCK_ROWS)
        cosines = queries[rows] @ candidates.T
        correct = (identities[rows, None, :] == identities[None, :, :]).any(dim=2)
        best_correct = cosines.masked_fill(~correct, -torch.inf).amax(dim=1)
        best_wrong = cosines.masked_fill(correct, -torch.inf).amax(dim=1)
        blocks.append(best_correct > best_wrong + MARGIN)
    return torch.cat(blocks)
