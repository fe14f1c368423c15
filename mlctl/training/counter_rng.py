"""A counter-based random generator: each number is a pure function of (seed, stream, epoch, row, position), without state.

So a batch can be made again from its step alone, after a crash or in another process, and what a row draws does not depend on
other rows. The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). NumPy's generators would have
to be seeded once a row.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mlctl.core.random import absorb

Keys = NDArray[np.uint64]


class Stream(IntEnum):
    """Independent streams of random numbers, one for each use."""

    SHARD_ORDER = 0
    ROW_ORDER = 1
    WORD_PAIRS = 2
    SOURCE_MASK = 3
    TARGET_MASK = 4
    DROPOUT = 5
    PASS_ORDER = 6
    TLM = 7


def keys(seed: int, stream: Stream, epoch: int, rows: NDArray[np.int64]) -> Keys:
    """Return a key for each row, (N,), from which its numbers of this stream and epoch follow."""
    state = np.zeros(1, np.uint64)
    for value in (seed, int(stream), epoch):
        state = absorb(state, np.array([value], np.uint64))
    return absorb(state, rows.astype(np.uint64))


def bits(row_keys: Keys, positions: NDArray[np.int64]) -> Keys:
    """Return 64 random bits for each key at each position; the two broadcast against each other."""
    return absorb(row_keys, positions.astype(np.uint64))


def uniform(row_keys: Keys, positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) for each key at each position; the two broadcast against each other."""
    return (bits(row_keys, positions) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(seed: int, stream: Stream, epoch: int, index: int, count: int) -> NDArray[np.int64]:
    """Return 0 to count − 1 in random order; `index` distinguishes several permutations of one epoch."""
    key = keys(seed, stream, epoch, np.array([index]))
    return np.argsort(bits(key, np.arange(count)), kind="stable")
