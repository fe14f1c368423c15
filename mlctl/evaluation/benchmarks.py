"""The benchmarks: what is asked of a model in one language. Both models are judged by these functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from mlctl.evaluation.encoding import encode
from mlctl.evaluation.heldout import Couple, Heldout
from mlctl.evaluation.retrieval import accuracy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_FEWEST = 2


def judge(
    encoder: PreTrainedModel, heldout: Heldout, couples: Sequence[Couple], source: str, batch_rows: int, tasks: Sequence[str]
) -> list[dict[str, Any]]:
    """Run the benchmarks of one language from one encoding of each side.

    Args:
        encoder: in evaluation mode.
        heldout: pairs of one target language.
        couples: the word benchmark's couples; none of its words twice on a side.
        source: language of the source side.
        batch_rows: sentences encoded at once.
        tasks: "sentence-retrieval", "word-retrieval".

    Returns:
        Rows of `schema.SCORES` but for `model`; a task with fewer than two items is left out.
    """
    words = couples if "word-retrieval" in tasks else ()
    left = encode(encoder, heldout.source.ids, [(c.row, *c.source) for c in words], batch_rows)
    right = encode(encoder, heldout.target.ids, [(c.row, *c.target) for c in words], batch_rows)
    rows = []
    for task, level, identities in (
        ("sentence-retrieval", 0, torch.tensor([heldout.source.identities, heldout.target.identities]).T),
        ("word-retrieval", 1, torch.arange(len(words))[:, None]),
    ):
        if task in tasks and len(identities) >= _FEWEST:
            rows += _both_ways(task, left[level], right[level], identities, source, heldout.language)
    return rows


def _both_ways(
    task: str, left: torch.Tensor, right: torch.Tensor, identities: torch.Tensor, source: str, target: str
) -> list[dict[str, Any]]:
    fixed = {"task": task, "language": target, "metric": "accuracy", "items": len(identities)}
    return [
        {**fixed, "direction": f"{source}→{target}", "value": accuracy(left, right, identities)},
        {**fixed, "direction": f"{target}→{source}", "value": accuracy(right, left, identities)},
    ]
