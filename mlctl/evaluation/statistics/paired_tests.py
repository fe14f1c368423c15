"""Paired tests of two models over items, with a correction for many languages.

Symbols: S seeds, N items, R resamples. A model's score for one seed is sum(part) / sum(whole) over items: accuracy, F1 and alignment
error rate all have this form, also over any resample of the items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: A difference is significant if its corrected p is below this and the bootstrap interval of the same level excludes 0.
ALPHA = 0.05

_BLOCK_CELLS = 2**21  # drawn items of one block


class ItemMatrix(NamedTuple):
    """Items of one model: `part` and `whole`, (S, N) each, of the same items in the same order for both models."""

    part: Array
    whole: Array


class PairedComparison(NamedTuple):
    """Two models on the same items.

    Attributes:
        base: (S,) score of each seed, or of each training.
        trained: (S,) the same.
        bootstrap: (R,) differences of the means over seeds, items and seeds resampled with replacement.
        randomised: (R,) differences of the means over seeds, each item's results exchanged between the models at random.
    """

    base: Array
    trained: Array
    bootstrap: Array
    randomised: Array

    @property
    def difference(self) -> float:
        """Mean of the trained model over seeds minus that of the base."""
        return float(self.trained.mean() - self.base.mean())

    def confidence_interval(self) -> tuple[float, float]:
        """Return the 95% percentile interval of the difference (Efron and Tibshirani 1993, chapter 13)."""
        low, high = np.quantile(self.bootstrap, (ALPHA / 2, 1 - ALPHA / 2))
        return float(low), float(high)

    def p_value(self) -> float:
        """Return the two-sided p of approximate randomisation (Noreen 1989; Yeh 2000): never 0, at least 1 / (R + 1)."""
        extreme = np.count_nonzero(np.abs(self.randomised) >= abs(self.difference) - 1e-12)
        return (1 + int(extreme)) / (1 + len(self.randomised))


def compare(base: ItemMatrix, trained: ItemMatrix, resamples: int, seed: int, trainings: int | None = None) -> PairedComparison:
    """Compare two models by their results on the same items.

    Resamples depend on `seed` and N alone: languages that translate the same items are resampled together, so that the interval of
    their mean has the right width.

    Args:
        base: (S, N) each.
        trained: of the same seeds and items.
        resamples: R.
        seed: of the resampling.
        trainings: T, if the S rows are T trainings, each with as many seeds of fine-tuning, in this order: trainings are then resampled
            as a whole, since scores of one training are no independent observations (Davison and Hinkley 1997, section 3.8).
    """
    items, groups = base.part.shape[1], trainings or len(base.part)
    by_seed = np.concatenate([_resampled(base, trained, rows) for rows in item_samples(items, resamples, seed)])
    randomised = np.concatenate([_exchanged(base, trained, coins) for coins in coin_tosses(items, resamples, seed)])
    seeds = seed_samples(groups, resamples, seed)
    bootstrap = np.take_along_axis(_group_means(by_seed, groups), seeds, 1).mean(1)
    base_scores, trained_scores = (_group_means(_scores(model)[None], groups)[0] for model in (base, trained))
    return PairedComparison(base_scores, trained_scores, bootstrap, randomised)


def mean(comparisons: Sequence[PairedComparison]) -> PairedComparison:
    """Return the comparison of the means over languages; all have the same numbers of seeds and resamples."""
    return PairedComparison(*(np.mean(column, axis=0) for column in zip(*comparisons, strict=True)))


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for the family-wise error rate (Holm 1979)."""
    corrected, largest = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = largest
    return corrected


def standard_deviation(values: Array) -> float | None:
    """Return the sample standard deviation over seeds; None for one seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _scores(items: ItemMatrix) -> Array:
    return ratio(items.part.sum(1), items.whole.sum(1))


def _group_means(values: Array, groups: int) -> Array:
    """Return the means (R, G) of G groups of equal size of values (R, S)."""
    return np.asarray(values.reshape(len(values), groups, -1).mean(2), np.float64)


def _resampled(base: ItemMatrix, trained: ItemMatrix, rows: npt.NDArray[np.int64]) -> Array:
    """Return the differences (R', S) for resampled items (R', N)."""
    scores = [
        [ratio(part[rows].sum(1), whole[rows].sum(1)) for part, whole in zip(*model, strict=True)] for model in (base, trained)
    ]
    return (np.array(scores[1]) - np.array(scores[0])).T


def _exchanged(base: ItemMatrix, trained: ItemMatrix, coins: Array) -> Array:
    """Return the differences (R',) of the means over seeds; an item's results are exchanged in all seeds or in none."""
    part, whole = (coins @ (new - old).T for old, new in zip(base, trained, strict=True))
    base_scores = ratio(base.part.sum(1) + part, base.whole.sum(1) + whole)
    trained_scores = ratio(trained.part.sum(1) - part, trained.whole.sum(1) - whole)
    return np.asarray((trained_scores - base_scores).mean(1), np.float64)


def item_samples(items: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield blocks (R', N) of the rows that each resample of the bootstrap draws."""
    random = np.random.default_rng([seed, items, 0])
    for rows in _blocks(items, resamples):
        yield random.integers(0, items, (rows, items))


def coin_tosses(items: int, resamples: int, seed: int) -> Iterator[Array]:
    """Yield blocks (R', N) of 0 and 1: the items whose results a resample of the randomisation exchanges."""
    random = np.random.default_rng([seed, items, 1])
    for rows in _blocks(items, resamples):
        yield random.integers(0, 2, (rows, items), dtype=np.int8).astype(np.float64)


def seed_samples(seeds: int, resamples: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the seeds (R, S) of fine-tuning that each resample of the bootstrap draws."""
    return np.random.default_rng([seed, seeds, 2]).integers(0, seeds, (resamples, seeds))


def _blocks(items: int, resamples: int) -> Iterator[int]:
    block_rows = max(1, _BLOCK_CELLS // max(1, items))
    for first in range(0, resamples, block_rows):
        yield min(block_rows, resamples - first)


def ratio(part: Array, whole: Array) -> Array:
    """Return part / whole, 0 where the denominator is 0."""
    return np.divide(part, whole, out=np.zeros_like(part, np.float64), where=whole > 0)
