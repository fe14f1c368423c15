"""How often rows are visited when the languages of a corpus are mixed in other shares than they have in it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlctl.training.counter_rng import Purpose, permutation

Integers = NDArray[np.int64]


class Mixture:
    """Visits in proportion to n^α for a language of n rows, with α below 1: small languages more often than they are large.

    This is the sampling of XLM (arXiv 1901.07291, section 3.1; α = 0.5) and XLM-R (arXiv 1911.02116; α = 0.3). In other papers 1/α
    is a temperature. An epoch has as many visits as the corpus has rows, up to rounding, and each shard has its share of them, so
    that shards are still read one after the other. The rows of a language in a shard are visited in passes, each in a random
    order of its own, which go on from epoch to epoch: no row is visited a second time more often than another.

    Args:
        counts: (shards, languages) rows.
        languages_of: returns the language of each row of a shard, numbers (n,).
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
        """How many visits an epoch pays to each shard."""
        visits: list[int] = self._visits.sum(axis=1).tolist()
        return visits

    def visits(self, epoch: int, shard: int) -> Integers:
        """Return the rows of a shard that an epoch visits, (shard_visits[shard],), language by language."""
        languages = self._languages_of(shard)
        return np.concatenate(
            [self._of_language(np.flatnonzero(languages == language), epoch, shard, language) for language in self._languages]
        )

    @property
    def _languages(self) -> range:
        return range(self._visits.shape[1])

    def _of_language(self, rows: Integers, epoch: int, shard: int, language: int) -> Integers:
        count = int(self._visits[shard, language])
        if not count:
            return rows[:0]
        first, last = epoch * count // len(rows), ((epoch + 1) * count - 1) // len(rows)
        place = shard * len(self._languages) + language
        passes = [permutation(self._seed, Purpose.PASS_ORDER, number, place, len(rows)) for number in range(first, last + 1)]
        begin = epoch * count - first * len(rows)
        return rows[np.concatenate(passes)[begin : begin + count]]


def earlier(rows: Integers) -> Integers:
    """Return for each item how many equal ones stand before it, (n,)."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    groups = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    sizes = np.diff(groups, append=len(rows))
    before = np.empty_like(rows)
    before[order] = np.arange(len(rows)) - np.repeat(groups, sizes)
    return before
