"""Exact nearest-neighbour retrieval by cosine, as in the Tatoeba benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import normalize

from mlctl.evaluation.metrics.item_scores import ItemScores, accuracy_scores

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


def accuracy(queries: torch.Tensor, candidates: torch.Tensor, identities: torch.Tensor) -> float:
    """Return the share of `hits`, in [0, 1]."""
    return int(hits(queries, candidates, identities).sum()) / len(queries)


def retrieval_scores(
    task: str,
    source: torch.Tensor,
    target: torch.Tensor,
    identities: torch.Tensor,
    source_language: str,
    target_language: str,
) -> list[ItemScores]:
    """Return the accuracy of retrieval from source to target and back, of embeddings (N, H) each; `identities` as for `hits`."""
    items = [str(row) for row in range(len(identities))]
    return [
        accuracy_scores(task, f"{source_language}→{target_language}", hits(source, target, identities).cpu().numpy(), items),
        accuracy_scores(task, f"{target_language}→{source_language}", hits(target, source, identities).cpu().numpy(), items),
    ]


def text_identities(texts: Sequence[str]) -> list[int]:
    """Return a number for each text, equal for equal texts."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(text, len(numbers)) for text in texts]
