"""Scores of exact nearest-neighbour retrieval by cosine, as in the Tatoeba benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mlctl.evaluation.metrics.item_scores import ItemScores, accuracy_scores
from mlctl.modeling.nearest_neighbours import hits


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
