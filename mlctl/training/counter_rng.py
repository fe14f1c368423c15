"""Random numbers without a state: each is a pure function of (seed, purpose, epoch, row, position).

So a batch can be made anew from its number alone, after a crash or in another process, and what one row draws depends on no
other row. The mixing function is the finaliser of splitmix64 (Steele, Lea and Flood 2014), which numpy's own generators
cannot replace: they would have to be set up once a row.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mlctl.core.random import absorb

Keys = NDArray[np.uint64]


class Purpose(IntEnum):
    """What numbers are drawn for: each has a stream of its own."""

    SHARD_ORDER = 0
    ROW_ORDER = 1
    WORD_PAIRS = 2
    SOURCE_MASK = 3
    TARGET_MASK = 4
    DROPOUT = 5
    PASS_ORDER = 6


def keys(seed: int, purpose: Purpose, epoch: int, rows: NDArray[np.int64]) -> Keys:
    """Return a key for each row, (N,): where its draws for this purpose in this epoch begin."""
    state = np.zeros(1, np.uint64)
    for value in (seed, int(purpose), epoch):
        state = absorb(state, np.array([value], np.uint64))
    return absorb(state, rows.astype(np.uint64))


def bits(row_keys: Keys, positions: NDArray[np.int64]) -> Keys:
    """Return 64 random bits for each key at each position; the two broadcast against each other."""
    return absorb(row_keys, positions.astype(np.uint64))


def uniform(row_keys: Keys, positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) for each key at each position; the two broadcast against each other."""
    return (bits(row_keys, positions) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(seed: int, purpose: Purpose, epoch: int, place: int, count: int) -> NDArray[np.int64]:
    """Return 0 to count − 1 in random order; `place` tells apart several permutations of one epoch."""
    key = keys(seed, purpose, epoch, np.array([place]))
    return np.argsort(bits(key, np.arange(count)), kind="stable")
