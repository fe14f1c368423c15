"""Projection of token states to two dimensions, and the agreement of nearest neighbours with meaning."""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_PERPLEXITY = 30.0
_MIN_TSNE_POINTS = 12
_EQUAL = 1e-9  # range of states that are equal but for rounding


def project(states: Matrix, method: Literal["tsne", "pca"], seed: int) -> Matrix:
    """Project N states (N, H) to the plane, (N, 2), within [-1, 1].

    States are scaled to unit length first, so that distances follow cosines, which is what training optimises. Fewer than
    12 points are projected by PCA.
    """
    if len(states) < 2:
        return np.zeros((len(states), 2))
    unit = _normalise(states)
    # Sums over several threads are added in any order, and t-SNE amplifies a difference in the last bit.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        points = _pca(unit, seed)
        if method == "tsne" and len(unit) >= _MIN_TSNE_POINTS and points[:, 0].std() > _EQUAL:
            points = _tsne(unit, points, seed)
    points = points - (points.max(0) + points.min(0)) / 2
    return cast(Matrix, np.round(points / max(np.abs(points).max(), 1e-12), 4) + 0.0)


def neighbour_agreement(states: Matrix, meanings: NDArray[np.int64], languages: NDArray[np.str_]) -> float | None:
    """Return the share of tokens whose nearest token of another language (by cosine) is of a sentence with the same meaning.

    None if there is only one language.
    """
    if len(set(languages.tolist())) < 2:
        return None
    unit = _normalise(states)
    cosines = np.where(languages[:, None] == languages[None, :], -np.inf, unit @ unit.T)
    return float(np.mean(meanings[cosines.argmax(1)] == meanings))


def _normalise(states: Matrix) -> Matrix:
    finite = np.nan_to_num(states)
    return cast(Matrix, finite / np.maximum(np.linalg.norm(finite, axis=1, keepdims=True), 1e-12))


def _pca(unit: Matrix, seed: int) -> Matrix:
    from sklearn.decomposition import PCA

    if np.ptp(unit, axis=0).max() < _EQUAL:
        return np.zeros((len(unit), 2))
    points: Any = PCA(min(2, *unit.shape), random_state=seed).fit_transform(unit)
    return cast(Matrix, np.pad(points, ((0, 0), (0, 2 - points.shape[1]))))


def _tsne(unit: Matrix, initial: Matrix, seed: int) -> Matrix:
    """Project by t-SNE from an initialisation with distinct points: from equal states the library crashes."""
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(unit) - 1) / 3)
    initial = initial / initial[:, 0].std() * 1e-4  # as init="pca" does, but from a PCA that was checked
    points = TSNE(2, perplexity=perplexity, init=initial.astype(np.float32), random_state=seed).fit_transform(unit)
    return cast(Matrix, points.astype(np.float64))
