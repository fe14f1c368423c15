"""How much of a difference between two models is chance: paired tests over items, corrected for many languages.

Symbols: S seeds, N items, R draws. A model's figure for one seed is sum(part) / sum(whole) over items: accuracy, F1 and alignment error
rate all are of this form, and so are they over any draw of the items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: A difference is called significant where its corrected p is below this and the bootstrap's interval, as wide, holds no 0.
ALPHA = 0.05

_CELLS = 2**21  # drawn at once


class Answers(NamedTuple):
    """What one model did: `part` and `whole` (S, N) of the same items in the same order."""

    part: Array
    whole: Array


class Comparison(NamedTuple):
    """Two models on the same items.

    Attributes:
        base: (S,) figure of each seed; trained: the same.
        drawn: (R,) differences of the means over seeds when items and seeds are drawn with replacement.
        swapped: (R,) the same when each item's answers change models by the toss of a coin.
    """

    base: Array
    trained: Array
    drawn: Array
    swapped: Array

    @property
    def difference(self) -> float:
        """Mean of the trained model over seeds less that of the base."""
        return float(self.trained.mean() - self.base.mean())

    def interval(self) -> tuple[float, float]:
        """Return the percentile interval of the difference (Efron and Tibshirani 1993, chapter 13), 95%."""
        low, high = np.quantile(self.drawn, (ALPHA / 2, 1 - ALPHA / 2))
        return float(low), float(high)

    def p(self) -> float:
        """Return the two-sided p of approximate randomisation (Noreen 1989; Yeh 2000): never 0, at least 1 / (R + 1)."""
        extreme = np.count_nonzero(np.abs(self.swapped) >= abs(self.difference) - 1e-12)
        return (1 + int(extreme)) / (1 + len(self.swapped))


def compare(base: Answers, trained: Answers, resamples: int, seed: int) -> Comparison:
    """Compare two models by their answers to the same items.

    Draws depend on `seed` and N alone: where languages translate the same items, they are drawn together, and so their mean's interval
    is as wide as it must be.

    Args:
        base: (S, N) each.
        trained: of the same seeds and items.
        resamples: R.
        seed: of the draws.
    """
    items = base.part.shape[1]
    draws = [_drawn(base, trained, rows) for rows in _items(items, resamples, seed)]
    signs = np.concatenate([_swapped(base, trained, rows) for rows in _coins(items, resamples, seed)])
    seeds = np.random.default_rng([seed, len(base.part), 2]).integers(0, len(base.part), (resamples, len(base.part)))
    by_seed = np.concatenate(draws)
    return Comparison(_figures(base), _figures(trained), np.take_along_axis(by_seed, seeds, 1).mean(1), signs)


def mean(comparisons: Sequence[Comparison]) -> Comparison:
    """Return the comparison of the means over languages; all have the same seeds and as many draws."""
    base, trained, drawn, swapped = (np.mean(column, axis=0) for column in zip(*comparisons, strict=True))
    return Comparison(base, trained, drawn, swapped)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected so that the chance of any false finding among them stays what it says (Holm 1979)."""
    corrected, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = largest
    return corrected


def deviation(values: Array) -> float | None:
    """Return the standard deviation of a sample of seeds; None for one."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _figures(answers: Answers) -> Array:
    return _ratio(answers.part.sum(1), answers.whole.sum(1))


def _drawn(base: Answers, trained: Answers, rows: npt.NDArray[np.int64]) -> Array:
    """Return the differences (R', S) for drawn items (R', N)."""
    figures = [[_ratio(p[rows].sum(1), w[rows].sum(1)) for p, w in zip(*model, strict=True)] for model in (base, trained)]
    return (np.array(figures[1]) - np.array(figures[0])).T


def _swapped(base: Answers, trained: Answers, coins: Array) -> Array:
    """Return the differences (R',) of the means over seeds; an item's answers change models in all seeds or in none."""
    moved = [coins @ (new - old).T for old, new in zip(base, trained, strict=True)]
    olds = _ratio(base.part.sum(1) + moved[0], base.whole.sum(1) + moved[1])
    news = _ratio(trained.part.sum(1) - moved[0], trained.whole.sum(1) - moved[1])
    return np.asarray((news - olds).mean(1), np.float64)


def _items(items: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    random = np.random.default_rng([seed, items, 0])
    for rows in _blocks(items, resamples):
        yield random.integers(0, items, (rows, items))


def _coins(items: int, resamples: int, seed: int) -> Iterator[Array]:
    random = np.random.default_rng([seed, items, 1])
    for rows in _blocks(items, resamples):
        yield random.integers(0, 2, (rows, items), dtype=np.int8).astype(np.float64)


def _blocks(items: int, resamples: int) -> Iterator[int]:
    most = max(1, _CELLS // max(1, items))
    for first in range(0, resamples, most):
        yield min(most, resamples - first)


def _ratio(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros_like(part, np.float64), where=whole > 0)
