"""The order in which rows are visited: a pure function of the step, so that resuming needs no sampler state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mlctl.errors import InputError
from mlctl.training.counter_rng import Stream, permutation
from mlctl.training.language_sampling import LanguageSampler, cumulative_count


@dataclass(frozen=True)
class ShardSlice:
    """Some rows of one shard, in the order in which they are visited.

    Attributes:
        shard: index of the shard.
        rows: (n,) indices of the rows in the shard.
        earlier_visits: (n,) how often the same epoch has visited the row before.
    """

    shard: int
    rows: NDArray[np.int64]
    earlier_visits: NDArray[np.int64]


class Sampler:
    """Batches of a sharded corpus.

    Each epoch visits every row once, or as often as a language sampler says: shards in random order, rows in random order within a
    shard. An incomplete last batch of an epoch is dropped; other epochs drop other rows.

    Args:
        shard_rows: number of rows of each shard, or of what is visited in place of rows (samples).
        batch_size: rows of a batch.
        seed: seed of both orders.
        language_sampler: which rows of these shards an epoch visits; None: each row once.

    Raises:
        InputError: the corpus has fewer rows than a batch.
    """

    def __init__(
        self, shard_rows: Sequence[int], batch_size: int, seed: int, language_sampler: LanguageSampler | None = None
    ) -> None:
        self._language_sampler = language_sampler
        shard_visits = language_sampler.shard_visits if language_sampler else shard_rows
        rows = sum(shard_visits)
        if rows < batch_size:
            raise InputError(
                f"train.batch_size is {batch_size}, but there are only {rows} training rows",
                f"lower train.batch_size to at most {rows}, or add text" if rows >= 2 else "add text to download.sources",
            )
        self.batches = rows // batch_size
        self._rows, self._batch_size, self._seed = np.asarray(shard_visits), batch_size, seed
        # Consecutive batches share their epoch and mostly their shard.
        self._cached_shard_order = lru_cache(maxsize=2)(self._shard_order)
        self._cached_row_order = lru_cache(maxsize=4)(self._row_order)

    def position(self, step: int) -> tuple[int, int]:
        """Return the epoch of a step and the index of its batch in the epoch; both count from 0, as steps do."""
        return divmod(step, self.batches)

    def batch(self, step: int) -> list[ShardSlice]:
        """Return the rows that step `step` trains on, batch_size in all."""
        epoch, index = self.position(step)
        shards, ends = self._cached_shard_order(epoch)
        start, end = index * self._batch_size, (index + 1) * self._batch_size
        first, last = np.searchsorted(ends, [start, end - 1], side="right")
        positions = [position for position in range(first, last + 1) if self._rows[shards[position]]]
        return [self._slice(epoch, int(shards[position]), start - ends[position], end - ends[position]) for position in positions]

    def _slice(self, epoch: int, shard: int, start: int, end: int) -> ShardSlice:
        """Cut a slice out of a shard's order; `start` and `end` count from the shard's end, so they may lie outside of it."""
        size = int(self._rows[shard])
        rows, earlier_visits = self._cached_row_order(epoch, shard)
        cut = slice(max(start + size, 0), end + size)
        return ShardSlice(shard, rows[cut], earlier_visits[cut])

    def _shard_order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the shards in this epoch's order, and the number of rows visited at the end of each."""
        shards = permutation(self._seed, Stream.SHARD_ORDER, epoch, 0, len(self._rows))
        return shards, np.cumsum(self._rows[shards])

    def _row_order(self, epoch: int, shard: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = permutation(self._seed, Stream.ROW_ORDER, epoch, shard, int(self._rows[shard]))
        if self._language_sampler is None:
            return order, np.zeros_like(order)
        rows = self._language_sampler.visits(epoch, shard)[order]
        return rows, cumulative_count(rows)
