"""Geometry of a model's sentence vectors: anisotropy, hubness, and how well a linear model tells the language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Row = dict[str, Any]
Vectors = npt.NDArray[np.float64]

#: Held-out sentences of a language that are embedded.
MAX_SENTENCES = 256
ANISOTROPY, HUBNESS, LANGUAGE_PROBE = "anisotropy", "hubness", "language-probe"

_NEIGHBOURS = 10
_FOLDS = 5
_DIGITS = 6  # beyond them the order of sums decides


def geometry_rows(model: str, source: str, languages: Mapping[str, tuple[Vectors, Vectors]]) -> Iterator[Row]:
    """Yield rows of `schema.GEOMETRY`: of each language, and of all together (`language` is null).

    Args:
        model: name of the model.
        source: the source language.
        languages: target language → vectors (N, H) of source sentences and of their translations.
    """
    for language, (of_source, of_target) in languages.items():
        targets = _unit(of_target)
        yield _row(model, ANISOTROPY, language, anisotropy(targets), len(targets))
        yield _row(model, HUBNESS, language, hubness(_unit(of_source), targets), len(targets))
    everything = _unit(np.concatenate([vectors for _, vectors in languages.values()]))
    yield _row(model, ANISOTROPY, None, anisotropy(everything), len(everything))
    first = next(iter(languages.values()))[0]
    by_language = {source: first, **{language: vectors for language, (_, vectors) in languages.items()}}
    accuracies, sentences = language_probe(by_language)
    for name, accuracy in accuracies.items():
        yield _row(model, LANGUAGE_PROBE, name, accuracy, sentences)
    if accuracies:
        yield _row(model, LANGUAGE_PROBE, None, float(np.mean(list(accuracies.values()))), sentences * len(accuracies))


def anisotropy(vectors: Vectors) -> float:
    """Return the mean cosine of two different sentences, of unit vectors (N, H): 0 if they point everywhere (Ethayarajh 2019)."""
    count = len(vectors)
    if count < 2:
        return 0.0
    total = vectors.sum(0)
    return float((total @ total - count) / (count * (count - 1)))


def hubness(queries: Vectors, candidates: Vectors) -> float:
    """Return the skewness of how often a candidate is among the 10 nearest of a query (Radovanović et al. 2010): 0 without hubs."""
    neighbours = min(_NEIGHBOURS, len(candidates))
    nearest = np.argsort(-np.round(queries @ candidates.T, _DIGITS), axis=1, kind="stable")[:, :neighbours]
    counts = np.bincount(nearest.ravel(), minlength=len(candidates)).astype(np.float64)
    spread = counts.std()
    return float((((counts - counts.mean()) / spread) ** 3).mean()) if spread else 0.0


def language_probe(languages: Mapping[str, Vectors]) -> tuple[dict[str, float], int]:
    """Return for each language the share of its sentences that a linear model puts into it, and their number.

    The model is a ridge classifier on standardised vectors, five-fold: a sentence and its translations are in the same fold, so that
    none is told by its meaning. All languages have as many sentences. Chance is 1 / number of languages; nothing is returned for one
    language, or fewer than five sentences.
    """
    from sklearn.linear_model import RidgeClassifier

    count = min(len(vectors) for vectors in languages.values())
    if len(languages) < 2 or count < _FOLDS:
        return {}, count
    vectors = np.concatenate([vectors[:count] for vectors in languages.values()])
    spread = vectors.std(0)
    vectors = (vectors - vectors.mean(0)) / np.where(spread > 0, spread, 1)
    labels, folds = np.repeat(np.arange(len(languages)), count), np.tile(np.arange(count) % _FOLDS, len(languages))
    right = np.zeros(len(labels))
    for fold in range(_FOLDS):
        tested = folds == fold
        probe = RidgeClassifier(solver="cholesky").fit(vectors[~tested], labels[~tested])
        right[tested] = probe.predict(vectors[tested]) == labels[tested]
    return dict(zip(languages, right.reshape(len(languages), count).mean(1).tolist(), strict=True)), count


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float64)


def _row(model: str, measure: str, language: str | None, value: float, sentences: int) -> Row:
    return {"model": model, "measure": measure, "language": language, "value": round(value, _DIGITS), "sentences": sentences}
