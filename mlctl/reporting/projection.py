"""Token states laid out in two dimensions, and how well their neighbourhoods follow meaning."""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_PERPLEXITY = 30.0
_FEWEST_FOR_TSNE = 12
_SAME = 1e-9  # spread of states that are equal but for rounding


def project(states: Matrix, how: Literal["tsne", "pca"], seed: int) -> Matrix:
    """Lay out N states (N, H) in the plane, (N, 2), within [-1, 1].

    States are scaled to unit length first, so that distance goes with cosine, which is what training pulls at. Too few points
    for t-SNE are laid out by PCA.
    """
    if len(states) < 2:
        return np.zeros((len(states), 2))
    unit = _unit(states)
    # Sums over several threads come in any order, and t-SNE makes another picture of the last bit.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        flat = _pca(unit, seed)
        if how == "tsne" and len(unit) >= _FEWEST_FOR_TSNE and flat[:, 0].std() > _SAME:
            flat = _tsne(unit, flat, seed)
    flat = flat - (flat.max(0) + flat.min(0)) / 2
    return cast(Matrix, np.round(flat / max(np.abs(flat).max(), 1e-12), 4) + 0.0)


def neighbours_agree(states: Matrix, meanings: NDArray[np.int64], languages: NDArray[np.str_]) -> float | None:
    """Return the share of tokens whose nearest token of another language (by cosine) is of a sentence with the same meaning.

    None where there is one language only.
    """
    if len(set(languages.tolist())) < 2:
        return None
    unit = _unit(states)
    near = np.where(languages[:, None] == languages[None, :], -np.inf, unit @ unit.T)
    return float(np.mean(meanings[near.argmax(1)] == meanings))


def _unit(states: Matrix) -> Matrix:
    clean = np.nan_to_num(states)
    return cast(Matrix, clean / np.maximum(np.linalg.norm(clean, axis=1, keepdims=True), 1e-12))


def _pca(unit: Matrix, seed: int) -> Matrix:
    from sklearn.decomposition import PCA

    if np.ptp(unit, axis=0).max() < _SAME:
        return np.zeros((len(unit), 2))
    flat: Any = PCA(min(2, *unit.shape), random_state=seed).fit_transform(unit)
    return cast(Matrix, np.pad(flat, ((0, 0), (0, 2 - flat.shape[1]))))


def _tsne(unit: Matrix, start: Matrix, seed: int) -> Matrix:
    """Lay out by t-SNE from a start that tells points apart: from states that are all the same the library crashes."""
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(unit) - 1) / 3)
    start = start / start[:, 0].std() * 1e-4  # what init="pca" does, of a PCA that is known to be sound
    flat = TSNE(2, perplexity=perplexity, init=start.astype(np.float32), random_state=seed).fit_transform(unit)
    return cast(Matrix, flat.astype(np.float64))
