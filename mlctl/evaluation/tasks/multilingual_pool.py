"""Scores of retrieval from a pool in many languages, shared by LAReQA and Mewsli-X."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlctl.evaluation.metrics.item_scores import ItemScores, ratio_of_sums
from mlctl.evaluation.metrics.ranked_retrieval import ranked_retrieval

if TYPE_CHECKING:
    from mlctl.evaluation.model_under_test import ModelUnderTest


def pool_scores(
    task: str,
    model: ModelUnderTest,
    language: str,
    queries: Sequence[tuple[str, str]],
    correct: Sequence[Sequence[int]],
    pool: Sequence[str],
    pool_languages: Sequence[str],
) -> list[ItemScores]:
    """Return the mean average precision of queries in a language, and how many of the answers are in the same language.

    Args:
        task: name of the task.
        model: encodes; the pool's embeddings are cached: it is the same for all languages.
        language: of the queries.
        queries: N names and texts.
        correct: rows of the pool that are right, for each query.
        pool: M texts.
        pool_languages: M languages.
    """
    same = [other == language for other in pool_languages]
    embeddings = model.encode(pool, cache=True)
    found = ranked_retrieval(model.encode([text for _, text in queries]), embeddings, correct, same)
    whole = np.ones(len(queries), np.float32)
    metrics = {
        "map": ratio_of_sums(found.average_precision, whole),
        "same_language": ratio_of_sums(found.same_language, whole),
    }
    notes = {"candidates": len(pool), "same_language_of_candidates": sum(same) / len(same)}
    return [ItemScores(task, f"{language}→all", metrics, [name for name, _ in queries], found.average_precision, whole, notes)]
