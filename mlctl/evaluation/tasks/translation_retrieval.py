"""Translation retrieval between two lists of sentences in the same order, shared by Tatoeba and NTREX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from mlctl.evaluation.metrics.item_scores import ItemScores
from mlctl.evaluation.metrics.retrieval import retrieval_scores, text_identities

if TYPE_CHECKING:
    from mlctl.evaluation.model_under_test import ModelUnderTest


def translation_retrieval(
    task: str, model: ModelUnderTest, source: Sequence[str], target: Sequence[str], source_language: str, target_language: str
) -> list[ItemScores]:
    """Return the accuracy of retrieving the translation of each sentence, from source to target and back.

    The source's embeddings are cached: in NTREX all languages share one source.
    """
    identities = torch.tensor([text_identities(source), text_identities(target)]).T
    embeddings = model.encode(source, cache=True), model.encode(target)
    return retrieval_scores(task, *embeddings, identities, source_language, target_language)
