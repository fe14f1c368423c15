"""Search for the pooling of sentence embeddings: retrieval accuracy of every pooling on held-out dev pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlctl.evaluation.data.heldout import Heldout
from mlctl.evaluation.metrics.item_scores import ItemScores, accuracy_scores
from mlctl.modeling.sentence_config import Pooling

if TYPE_CHECKING:
    from torch import Tensor

_REVISION = 2  # of this search, see TaskMetadata.revision


def identity(model: Mapping[str, Any], dev: Heldout, embedding_settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cache identity of a search.

    Args:
        model: identity of the model.
        dev: pairs that the pooling is selected on.
        embedding_settings: settings that change the embedding of a text.
    """
    return {"task": "pooling", "revision": _REVISION, "model": model, "dev": _digest(dev), **embedding_settings}


def evaluate(
    poolings: Sequence[Pooling], dev: Heldout, embed: Callable[[Sequence[str], Sequence[Pooling]], list[Tensor]]
) -> list[ItemScores]:
    """Retrieve the translation of every dev sentence, in both directions, with every pooling; `embed` returns (N, H) for each."""
    import torch

    from mlctl.modeling.nearest_neighbours import hits

    identities = torch.tensor([dev.source.identities, dev.target.identities]).T
    embeddings = zip(embed(dev.source.texts, poolings), embed(dev.target.texts, poolings), strict=True)
    items = [f"{direction}{row}" for direction in "<>" for row in range(len(dev))]
    results = []
    for pooling, (source, target) in zip(poolings, embeddings, strict=True):
        correct = torch.cat([hits(target, source, identities), hits(source, target, identities)]).cpu().numpy()
        scores = accuracy_scores("pooling", f"{dev.language}↔", correct, items)
        results.append(replace(scores, notes={"pooling": pooling.as_json()}))
    return results


def _digest(dev: Heldout) -> str:
    text = "\0".join((dev.language, *dev.source.texts, "\1", *dev.target.texts))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
