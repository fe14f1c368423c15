"""Paired tests of every pair of several models, equal to those of `paired_tests` for each pair.

The resamples depend on the seed and the number of items alone. So each model is resampled once: the bootstrap of a difference is the
difference of two bootstraps, and a randomisation needs of each model only the sums over the items that it exchanges.

Symbols: M models, S seeds, N items, R resamples; P pairs in the order of `itertools.combinations(range(M), 2)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlctl.evaluation.statistics.paired_tests import ALPHA, Array, ItemMatrix, coin_tosses, item_samples, ratio, seed_samples


@dataclass(frozen=True)
class Resamples:
    """Resamples of M models in one language.

    Attributes:
        scores: (M, S).
        bootstrap: (R, M) means over seeds, items and seeds resampled.
        items: `part` and `whole` of all items, (M, S) each.
        exchanged: the same of the items that a randomisation exchanges, (R, M, S) each.
    """

    scores: Array
    bootstrap: Array
    items: ItemMatrix
    exchanged: ItemMatrix


@dataclass(frozen=True)
class PairTests:
    """Tests of P pairs, (P,) each: the second model minus the first; p is NaN of a pair without a common language.

    Attributes:
        difference: of the means over seeds and languages.
        low: of the 95% interval.
        high: of the 95% interval.
        p: two-sided, of approximate randomisation; not corrected.
    """

    difference: Array
    low: Array
    high: Array
    p: Array


def resample(models: ItemMatrix, resamples: int, seed: int) -> Resamples:
    """Resample the items (M, S, N) of M models; items that a model does not have are 0 in both."""
    count, seeds, items = models.part.shape
    part, whole = (np.asarray(side, np.float64).reshape(count * seeds, items) for side in models)

    def sums(weights: Array) -> ItemMatrix:
        return ItemMatrix(*((weights @ side.T).reshape(-1, count, seeds) for side in (part, whole)))

    drawn = np.concatenate([ratio(*sums(_counts(rows))) for rows in item_samples(items, resamples, seed)])
    swapped = [sums(coins) for coins in coin_tosses(items, resamples, seed)]
    all_items = ItemMatrix(*(side.sum(1).reshape(count, seeds) for side in (part, whole)))
    chosen = seed_samples(seeds, resamples, seed)[:, None, :]
    return Resamples(
        ratio(*all_items),
        np.take_along_axis(drawn, chosen, 2).mean(2),
        all_items,
        ItemMatrix(*(np.concatenate(blocks) for blocks in zip(*swapped, strict=True))),
    )


def compare_pairs(languages: Mapping[str, tuple[Sequence[int], Resamples]], models: int) -> PairTests:
    """Test the means over languages of every pair of M models, each pair over the languages that both have.

    Args:
        languages: for each language the numbers of its models, ascending, and their resamples.
        models: M.
    """
    columns = list(zip(*(_from_first(languages, first, models) for first in range(models - 1)), strict=True))
    return PairTests(*(np.concatenate(column) for column in columns)) if columns else PairTests(*[np.empty(0)] * 4)


def _from_first(
    languages: Mapping[str, tuple[Sequence[int], Resamples]], first: int, models: int
) -> tuple[Array, Array, Array, Array]:
    """Return the columns of `PairTests` for the pairs of one model with those after it."""
    others = models - first - 1
    counts, differences = np.zeros(others), np.zeros(others)
    boots, swaps = [], []
    for row, rest, resamples in _common(languages, first):
        columns = [number - first - 1 for number, _ in rest]
        rows = [index for _, index in rest]
        counts[columns] += 1
        differences[columns] += resamples.scores[rows].mean(1) - resamples.scores[row].mean()
        boots.append((columns, resamples.bootstrap[:, rows] - resamples.bootstrap[:, [row]]))
        swaps.append((columns, _exchange(resamples, row, rows)))
    with np.errstate(invalid="ignore"):
        differences, boot, swap = differences / counts, _sum(boots, others) / counts, _sum(swaps, others) / counts
    low, high = np.quantile(boot, (ALPHA / 2, 1 - ALPHA / 2), axis=0) if len(boot) else np.full((2, others), np.nan)
    extreme = np.count_nonzero(np.abs(swap) >= np.abs(differences) - 1e-12, axis=0)
    return differences, low, high, np.where(counts, (1 + extreme) / (1 + len(swap)), np.nan)


def _common(
    languages: Mapping[str, tuple[Sequence[int], Resamples]], first: int
) -> Iterator[tuple[int, list[tuple[int, int]], Resamples]]:
    """Yield for each language of a model its row, number and row of the models after it, and the resamples."""
    for numbers, resamples in languages.values():
        if first in numbers:
            row = list(numbers).index(first)
            yield row, [(number, index) for index, number in enumerate(numbers) if index > row], resamples


def _exchange(resamples: Resamples, first: int, others: Sequence[int]) -> Array:
    """Return the differences (R, O) of the means over seeds with the exchanged items of a model and of others."""
    part, whole = (side[:, others] - side[:, [first]] for side in resamples.exchanged)
    before = ratio(resamples.items.part[first] + part, resamples.items.whole[first] + whole)
    after = ratio(resamples.items.part[others] - part, resamples.items.whole[others] - whole)
    return np.asarray((after - before).mean(2), np.float64)


def _sum(blocks: Sequence[tuple[Sequence[int], Array]], width: int) -> Array:
    total = np.zeros((len(blocks[0][1]) if blocks else 0, width))
    for columns, values in blocks:
        total[:, columns] += values
    return total


def _counts(rows: npt.NDArray[np.int64]) -> Array:
    """Return how often each row of drawn items (R', N) has each item."""
    resamples, items = rows.shape
    flat = (rows + items * np.arange(resamples)[:, None]).ravel()
    return np.bincount(flat, minlength=resamples * items).reshape(resamples, items).astype(np.float64)
