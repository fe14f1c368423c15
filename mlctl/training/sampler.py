"""In which order rows are visited: a pure function of the step, so that going on after a crash needs no state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mlctl.errors import InputError
from mlctl.training.counter_rng import Purpose, permutation
from mlctl.training.language_sampling import Mixture, earlier


@dataclass(frozen=True)
class Piece:
    """Some rows of one shard, in the order in which they are visited.

    Attributes:
        shard: its number.
        rows: (n,) counted from 0 in the shard.
        before: (n,) how often the same epoch has visited the row before.
    """

    shard: int
    rows: NDArray[np.int64]
    before: NDArray[np.int64]


class Sampler:
    """Batches of a corpus in shards.

    Each epoch visits every row once, or as often as a mixture says: shards in random order, rows in random order inside a shard.
    What is left at the end of an epoch and fills no batch is dropped; another epoch drops other rows.

    Args:
        shard_rows: rows of each shard.
        batch_size: rows of a batch.
        seed: seed of both orders.
        mixture: which rows of these shards an epoch visits; None: each once.

    Raises:
        InputError: the corpus has fewer rows than a batch.
    """

    def __init__(self, shard_rows: Sequence[int], batch_size: int, seed: int, mixture: Mixture | None = None) -> None:
        self._mixture, shard_visits = mixture, mixture.shard_visits if mixture else shard_rows
        rows = sum(shard_visits)
        if rows < batch_size:
            raise InputError(
                f"train.batch_size is {batch_size}, but there are only {rows} training rows",
                f"lower train.batch_size to at most {rows}, or add text" if rows >= 2 else "add text to download.sources",
            )
        self.batches = rows // batch_size
        self._rows, self._batch_size, self._seed = np.asarray(shard_visits), batch_size, seed
        # Neighbouring batches share their epoch and mostly their shard.
        self._order = lru_cache(maxsize=2)(self._shard_order)
        self._inside = lru_cache(maxsize=4)(self._row_order)

    def position(self, step: int) -> tuple[int, int]:
        """Return the epoch and the batch's number in it; both count from 0, as steps do."""
        return divmod(step, self.batches)

    def batch(self, step: int) -> list[Piece]:
        """Return which rows step `step` learns from, batch_size in all."""
        epoch, index = self.position(step)
        shards, ends = self._order(epoch)
        begin, end = index * self._batch_size, (index + 1) * self._batch_size
        first, last = np.searchsorted(ends, [begin, end - 1], side="right")
        places = [place for place in range(first, last + 1) if self._rows[shards[place]]]
        return [self._piece(epoch, int(shards[place]), begin - ends[place], end - ends[place]) for place in places]

    def _piece(self, epoch: int, shard: int, begin: int, end: int) -> Piece:
        """Cut a piece out of a shard's order; `begin` and `end` count from the shard's end, so they may lie outside of it."""
        size = int(self._rows[shard])
        rows, before = self._inside(epoch, shard)
        cut = slice(max(begin + size, 0), end + size)
        return Piece(shard, rows[cut], before[cut])

    def _shard_order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the shards in this epoch's order, and how many rows have been visited at the end of each."""
        shards = permutation(self._seed, Purpose.SHARD_ORDER, epoch, 0, len(self._rows))
        return shards, np.cumsum(self._rows[shards])

    def _row_order(self, epoch: int, shard: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = permutation(self._seed, Purpose.ROW_ORDER, epoch, shard, int(self._rows[shard]))
        if self._mixture is None:
            return order, np.zeros_like(order)
        rows = self._mixture.visits(epoch, shard)[order]
        return rows, earlier(rows)
