"""Sampling of languages: rows of small languages are visited more often than their share of the corpus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlctl.training.counter_rng import Stream, permutation

Integers = NDArray[np.int64]


class LanguageSampler:
    """Visits in proportion to n^α for a language of n rows: with α below 1, small languages more often than in proportion to n.

    This is the sampling of XLM (arXiv 1901.07291, section 3.1; α = 0.5) and XLM-R (arXiv 1911.02116; α = 0.3); other papers call
    1/α a temperature. An epoch has as many visits as the corpus has rows, up to rounding, and each shard has its share of them, so
    that shards are still read one after the other. The rows of a language in a shard are visited in passes, each in a random order,
    which continue from epoch to epoch: no row is visited a second time more often than another.

    Args:
        counts: (shards, languages) number of rows.
        languages_of: returns the language number of each row of a shard, (rows,).
        alpha: α.
        seed: seed of the orders.
    """

    def __init__(self, counts: Integers, languages_of: Callable[[int], Integers], alpha: float, seed: int) -> None:
        sizes = counts.sum(axis=0)
        shares = sizes**alpha / (sizes**alpha).sum()
        ends = np.rint(np.cumsum(counts, axis=0) * (shares * sizes.sum() / sizes)).astype(np.int64)
        self._visits = np.diff(ends, axis=0, prepend=0)
        self._languages_of, self._seed = languages_of, seed

    @property
    def shard_visits(self) -> list[int]:
        """The number of visits to each shard in an epoch."""
        visits: list[int] = self._visits.sum(axis=1).tolist()
        return visits

    def visits(self, epoch: int, shard: int) -> Integers:
        """Return the rows of a shard that an epoch visits, (shard_visits[shard],), language by language."""
        languages = self._languages_of(shard)
        return np.concatenate(
            [
                self._language_visits(np.flatnonzero(languages == language), epoch, shard, language)
                for language in range(self._visits.shape[1])
            ]
        )

    def _language_visits(self, rows: Integers, epoch: int, shard: int, language: int) -> Integers:
        count = int(self._visits[shard, language])
        if not count:
            return rows[:0]
        first, last = epoch * count // len(rows), ((epoch + 1) * count - 1) // len(rows)
        index = shard * self._visits.shape[1] + language
        passes = [permutation(self._seed, Stream.PASS_ORDER, number, index, len(rows)) for number in range(first, last + 1)]
        start = epoch * count - first * len(rows)
        return rows[np.concatenate(passes)[start : start + count]]


def cumulative_count(values: Integers) -> Integers:
    """Return for each item the number of equal items before it, (n,), as `pandas.DataFrameGroupBy.cumcount` does."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    groups = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    sizes = np.diff(groups, append=len(values))
    counts = np.empty_like(values)
    counts[order] = np.arange(len(values)) - np.repeat(groups, sizes)
    return counts
