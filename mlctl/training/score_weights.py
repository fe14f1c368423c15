"""Weights of training rows by a quality score (`train.weight_by`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlctl.core.score_columns import ScoreArray, score_arrays
from mlctl.errors import InputError


def shard_weights(tables: Iterable[Any], score: str) -> list[NDArray[np.float64]]:
    """Return the weight of each row, (rows,) for each table, from their columns `target_language` and `scores`.

    A row weighs by the rank of its score among the scored rows of its target language (`rank_weights`); a row without the score
    weighs 1. So each language keeps its share of the loss, and the scale of the score does not matter.

    Raises:
        InputError: no row has the score.
    """
    languages, scores, names, codes = [], [], set[str](), dict[str, int]()
    for table in tables:
        arrays = score_arrays(table["scores"])
        names.update(arrays)
        scores.append(arrays.get(score, np.full(len(table), np.nan, np.float32)))
        languages.append(_language_codes(table["target_language"], codes))
    if score not in names:
        existing = ", ".join(sorted(names)) or "none"
        raise InputError(
            f"train.weight_by: no training row has the score {score!r}; there are: {existing}",
            "name a score of clean.scores or of a source's `scores`",
        )
    weights = _weights(np.concatenate(languages), np.concatenate(scores))
    return np.split(weights, np.cumsum([len(values) for values in scores])[:-1])


def rank_weights(scores: ScoreArray) -> NDArray[np.float64]:
    """Return (2 r_i − 1) / n for the rank r_i of each score, from 1, (n,): above 0 and below 2, with the mean 1.

    Equal scores have the mean of their ranks: where all are equal, all weights are exactly 1.
    """
    _, groups, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_ranks = (2 * last - counts + 1) / 2
    weights: NDArray[np.float64] = ((2 * mean_ranks - 1) / max(len(scores), 1))[groups]
    return weights


def _language_codes(column: Any, codes: dict[str, int]) -> NDArray[np.int32]:
    """Return the code of each row's language, (rows,); new languages are added to `codes`."""
    encoded = column.combine_chunks().dictionary_encode()
    own = [codes.setdefault(name, len(codes)) for name in encoded.dictionary.to_pylist()]
    indices: NDArray[np.int32] = np.array(own, np.int32)[np.asarray(encoded.indices)]
    return indices


def _weights(languages: NDArray[np.int32], scores: ScoreArray) -> NDArray[np.float64]:
    weights = np.ones(len(scores))
    scored = ~np.isnan(scores)
    for language in np.unique(languages[scored]).tolist():
        rows = np.flatnonzero(scored & (languages == language))
        weights[rows] = rank_weights(scores[rows])
    return weights
