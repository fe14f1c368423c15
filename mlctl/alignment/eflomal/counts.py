"""Counts of links of word pairs, in several chains: a small hash table per source word, all in one arena.

Most source words are linked to a few target words and some to very many, so each word has its own slots (a power of two, at most three
quarters full), which are allocated from an arena and freed when the word needs more. The counts of a word pair, or of a word, in all
chains are adjacent in memory, because finding them takes longer than reading them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.numba_jit import S, U, kernel

_SIZE_CLASSES = 40  # powers of two, beyond any memory
_ZERO_TOLERANCE = np.float32(1e-6)  # smaller counts are rounding errors


class Counts(NamedTuple):
    """Counts of links of one direction in C chains, V source words and W target words.

    Attributes:
        start: first slot of each source word (V,).
        mask: its number of slots minus one, -1: none (V,).
        used: number of these slots with a target word (V,).
        keys: target word of each slot, below 0: none (slots,).
        counts: number of its links (slots, C).
        sums: counts summed over several sweeps (slots, C); empty before `with_sums`.
        arena_ends: end of the allocated part of the arena, then the first free block of slots of each size (41,).
        totals: number of links of each source word (V, C).
        nulls: number of null links of each target word (W, C).
        null_total: their sum (C,).
        fertile: number of occurrences of each source word with each fertility (V, C, FERTILITIES).
    """

    start: npt.NDArray[np.int64]
    mask: npt.NDArray[np.int32]
    used: npt.NDArray[np.int32]
    keys: npt.NDArray[np.int32]
    counts: npt.NDArray[np.float32]
    sums: npt.NDArray[np.float32]
    arena_ends: npt.NDArray[np.int64]
    totals: npt.NDArray[np.float64]
    nulls: npt.NDArray[np.float32]
    null_total: npt.NDArray[np.float64]
    fertile: npt.NDArray[np.float32]


class Rows(NamedTuple):
    """Counts of one chain in sparse rows: of source word e the slice [offsets[e], offsets[e + 1]) of `keys` (target words, sorted) and `counts`.

    The field names are array names in the files of a model.
    """

    offsets: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int32]
    counts: npt.NDArray[np.float32]


#: Fertilities (numbers of links of a word) that are distinguished; the last one includes larger ones.
FERTILITIES = 8


def empty_counts(chains: int, sources: int, targets: int, slots: int = 1 << 12) -> Counts:
    """Return empty counts with an arena of `slots` slots."""
    arena_ends = np.full(_SIZE_CLASSES + 1, -1, np.int64)
    arena_ends[0] = 0
    return Counts(
        start=np.zeros(sources, np.int64),
        mask=np.full(sources, -1, np.int32),
        used=np.zeros(sources, np.int32),
        keys=np.full(slots, -1, np.int32),
        counts=np.zeros((slots, chains), np.float32),
        sums=np.zeros((0, chains), np.float32),
        arena_ends=arena_ends,
        totals=np.zeros((sources, chains), np.float64),
        nulls=np.zeros((targets, chains), np.float32),
        null_total=np.zeros(chains, np.float64),
        fertile=np.zeros((sources, chains, FERTILITIES), np.float32),
    )


def grow(counts: Counts, slots: int) -> Counts:
    """Return the same counts in an arena with `slots` free slots."""
    size = int(counts.arena_ends[0]) + slots
    chains = counts.counts.shape[1]
    keys, values = np.full(size, -1, np.int32), np.zeros((size, chains), np.float32)
    used = min(size, len(counts.keys))
    keys[:used], values[:used] = counts.keys[:used], counts.counts[:used]
    sums = np.zeros((size if len(counts.sums) else 0, chains), np.float32)
    sums[: min(len(sums), used)] = counts.sums[: min(len(sums), used)]
    return counts._replace(keys=keys, counts=values, sums=sums)


def with_sums(counts: Counts) -> Counts:
    """Return the same counts with sums of zero, for `accumulate`."""
    return counts._replace(sums=np.zeros_like(counts.counts))


@kernel
def find_slot(keys: npt.NDArray[np.int32], start: int, size: int, target: int) -> int:
    """Return the slot of a target word among the `size` slots from `start` on, or -1 if it has none."""
    if size == 0:
        return S(-1)
    base, mask = U(start), U(size - 1)
    slot = hash_word(target) & mask
    while True:
        key = keys[base + slot]
        if key == target:
            return S(base + slot)
        if key < 0:
            return S(-1)
        slot = (slot + U(1)) & mask


@kernel
def hash_word(target: int) -> int:
    """Return the hash of a target word; masked, it is the first slot to probe."""
    return (U(target) * U(2654435761)) >> U(12)


@kernel
def _insert(rows: Counts, source: int, target: int) -> int:
    """Return a new slot for a word pair without one; the source word must have a free slot."""
    base, mask = U(rows.start[source]), U(rows.mask[source])
    slot = hash_word(target) & mask
    while rows.keys[base + slot] >= 0:
        slot = (slot + U(1)) & mask
    rows.keys[base + slot] = target
    rows.used[source] += 1
    return S(base + slot)


@kernel
def _allocate(rows: Counts, power: int) -> int:
    """Return the start of 2**power empty slots. The first key of a free block is -2 minus the start of the next free block."""
    start: int = rows.arena_ends[1 + power]
    if start >= 0:
        rows.arena_ends[1 + power] = -2 - rows.keys[start]
        rows.keys[start] = -1
        return start
    start = rows.arena_ends[0]
    rows.arena_ends[0] = start + (1 << power)
    return start


@kernel
def _is_in_use(rows: Counts, slot: int) -> bool:
    """Return whether a slot contains a word pair with a positive count in any chain."""
    if rows.keys[slot] < 0:
        return False
    for chain in range(rows.counts.shape[1]):
        if rows.counts[slot, chain] > 0 or (len(rows.sums) > 0 and rows.sums[slot, chain] > 0):
            return True
    return False


@kernel
def _rehash(rows: Counts, source: int) -> None:
    """Move a source word's counts to a new block, larger if needed; slots with counts of zero are dropped."""
    collects = len(rows.sums) > 0
    old, size = rows.start[source], rows.mask[source] + 1
    live = 0
    for slot in range(old, old + size):
        live += _is_in_use(rows, slot)
    power = 1
    while (1 << power) < 2 * (live + 1):
        power += 1
    rows.start[source] = _allocate(rows, power)
    rows.mask[source] = (1 << power) - 1
    rows.used[source] = 0
    for slot in range(old, old + size):
        if _is_in_use(rows, slot):
            new = _insert(rows, source, rows.keys[slot])
            rows.counts[new] = rows.counts[slot]
            if collects:
                rows.sums[new] = rows.sums[slot]
        rows.keys[slot] = -1
        rows.counts[slot] = 0
        if collects:
            rows.sums[slot] = 0
    if size:
        power = 0
        while (1 << power) < size:
            power += 1
        rows.keys[old] = -2 - rows.arena_ends[1 + power]
        rows.arena_ends[1 + power] = old


@kernel
def add_link(rows: Counts, chain: int, source: int, target: int, weight: float) -> None:
    """Add `weight` to the count of a link in a chain. The arena must have room."""
    slot = find_slot(rows.keys, rows.start[source], rows.mask[source] + 1, target)
    if slot < 0:
        if 4 * (rows.used[source] + 1) > 3 * (rows.mask[source] + 1):
            _rehash(rows, source)
        slot = _insert(rows, source, target)
    rows.counts[slot, chain] += weight


@kernel
def remove_link(rows: Counts, chain: int, source: int, target: int) -> None:
    """Subtract 1 from the count of a link in a chain; the link must have been counted.

    Rounding errors are set to zero, so that no chain's counts depend on when another chain's counts cause a rehash.
    """
    slot = find_slot(rows.keys, rows.start[source], rows.mask[source] + 1, target)
    rows.counts[slot, chain] -= 1
    if rows.counts[slot, chain] <= _ZERO_TOLERANCE:
        rows.counts[slot, chain] = 0


@kernel
def load_rows(
    counts: Counts, chain: int, rows: Rows, sources: npt.NDArray[np.int32], targets: npt.NDArray[np.int32], weight: float
) -> int:
    """Add `weight` times the counts of rows with other word ids to a chain; the ids here are `sources[e]` and `targets[f]`, -1: none.

    Returns the number of source words that are done: fewer than all if the arena is full. Then `grow` it and call again, with
    `sources` of the done words set to -1.
    """
    for e in range(len(sources)):
        source = sources[e]
        if source < 0:
            continue
        first, last = rows.offsets[e], rows.offsets[e + 1]
        if counts.arena_ends[0] + 6 * (last - first) + 16 + 2 * counts.mask[source] > len(counts.keys):
            return e
        for index in range(first, last):
            if targets[rows.keys[index]] >= 0:
                add_link(counts, chain, source, targets[rows.keys[index]], weight * rows.counts[index])
    return len(sources)


@kernel
def accumulate(counts: Counts, share: float) -> None:
    """Add `share` times each count to the sums."""
    for slot in range(counts.arena_ends[0]):
        if counts.keys[slot] >= 0:
            for chain in range(counts.counts.shape[1]):
                counts.sums[slot, chain] += share * counts.counts[slot, chain]


@kernel
def _row_offsets(counts: Counts, chain: int) -> npt.NDArray[np.int64]:
    offsets = np.zeros(len(counts.start) + 1, np.int64)
    for e in range(len(counts.start)):
        live = 0
        for slot in range(counts.start[e], counts.start[e] + counts.mask[e] + 1):
            if counts.keys[slot] >= 0 and counts.sums[slot, chain] > _ZERO_TOLERANCE:
                live += 1
        offsets[e + 1] = offsets[e] + live
    return offsets


@kernel
def to_rows(counts: Counts, chain: int) -> Rows:
    """Return the sums of a chain as rows, each sorted by target word."""
    offsets = _row_offsets(counts, chain)
    keys, values = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.float32)
    for e in range(len(counts.start)):
        index = offsets[e]
        for slot in range(counts.start[e], counts.start[e] + counts.mask[e] + 1):
            if counts.keys[slot] >= 0 and counts.sums[slot, chain] > _ZERO_TOLERANCE:
                keys[index] = counts.keys[slot]
                values[index] = counts.sums[slot, chain]
                index += 1
        order = np.argsort(keys[offsets[e] : index])
        keys[offsets[e] : index] = keys[offsets[e] : index][order]
        values[offsets[e] : index] = values[offsets[e] : index][order]
    return Rows(offsets, keys, values)
