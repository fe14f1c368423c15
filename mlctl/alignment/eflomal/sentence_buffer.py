"""What a visit to a sentence works on: what the counts and the shapes say of its words, looked up once for all chains.

The formulas are those of `mlctl.alignment.eflomal.sampling`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.counts import FERTILITIES, Counts, first_of
from mlctl.alignment.eflomal.numba_kernels import U, kernel

BINS = 64  # of the distance from the diagonal


class Text(NamedTuple):
    """Both sides of the sentences, as numbers of words; sentence s is the slice [offsets[s], offsets[s + 1])."""

    source: npt.NDArray[np.int32]
    source_offsets: npt.NDArray[np.int64]
    target: npt.NDArray[np.int32]
    target_offsets: npt.NDArray[np.int64]

    def turned(self) -> Text:
        """Return the text of the other direction."""
        return Text(self.target, self.target_offsets, self.source, self.source_offsets)


class Shapes(NamedTuple):
    """What does not depend on the words, in C chains.

    Attributes:
        jumps: J of each width from -most to most (C, 2 most + 1).
        back: the same, the other way round.
        reach: sums of J up to each width (C, 2 most + 2).
        usual: P(k), of each number of links (C, FERTILITIES).
        diagonal: factor of each distance from the diagonal (BINS + 1,).
        types: W.
        null: ν.
        belief: β.
        alpha: α.
    """

    jumps: npt.NDArray[np.float32]
    back: npt.NDArray[np.float32]
    reach: npt.NDArray[np.float64]
    usual: npt.NDArray[np.float64]
    diagonal: npt.NDArray[np.float32]
    types: int
    null: float
    belief: float
    alpha: float


class Desk(NamedTuple):
    """Room to work on one sentence of I source and J target words at a time."""

    lexical: npt.NDArray[np.float32]  # (C, J, I) t(f_j | e_i)
    nulls: npt.NDArray[np.float32]  # (C, J) that of nothing
    share: npt.NDArray[np.float32]  # (I,) 1 / (c(e_i) + α W) in one chain
    grow: npt.NDArray[np.float32]  # (I,) fertility, times 1 / Z(i) where jumps count
    inverse: npt.NDArray[np.float32]  # (I + 1,) 1 / Z(i - 1)
    after: npt.NDArray[np.int16]  # (J,)
    taken: npt.NDArray[np.int32]  # (I,)
    weights: npt.NDArray[np.float32]  # (I,)
    target_place: npt.NDArray[np.int16]  # (W,) last place of each target word in the sentence, -1: none
    target_before: npt.NDArray[np.int16]  # (J,) place of the same word before
    source_place: npt.NDArray[np.int16]  # (V,) the same of source words
    source_before: npt.NDArray[np.int16]  # (I,)
    before: npt.NDArray[np.int16]  # (J,) links before a visit
    hashes: npt.NDArray[np.uint64]  # (J,) of target words
    slots: npt.NDArray[np.uint64]  # (J,) of one source word, where target words may be
    met: npt.NDArray[np.int32]  # (J,) what is there, then places of those that are there


@kernel
def desk(text: Text, lo: int, hi: int, counts: Counts) -> Desk:
    """Return room for the longest of the sentences [lo, hi) in as many chains as `counts` has."""
    longest, longest_target = 1, 1
    for s in range(lo, hi):
        longest = max(longest, text.source_offsets[s + 1] - text.source_offsets[s])
        longest_target = max(longest_target, text.target_offsets[s + 1] - text.target_offsets[s])
    targets, chains = counts.nulls.shape
    return Desk(
        np.empty((chains, longest_target, longest), np.float32),
        np.empty((chains, longest_target), np.float32),
        np.empty(longest, np.float32),
        np.empty(longest, np.float32),
        np.empty(longest + 1, np.float32),
        np.empty(longest_target, np.int16),
        np.empty(longest, np.int32),
        np.empty(longest, np.float32),
        np.full(targets, -1, np.int16),
        np.empty(longest_target, np.int16),
        np.full(len(counts.start), -1, np.int16),
        np.empty(longest, np.int16),
        np.empty(longest_target, np.int16),
        np.empty(longest_target, np.uint64),
        np.empty(longest_target, np.uint64),
        np.empty(longest_target, np.int32),
    )


@kernel
def look_up(counts: Counts, shapes: Shapes, source: npt.NDArray[np.int32], target: npt.NDArray[np.int32], room: Desk) -> None:
    """Fill the desk's lexical probabilities of a sentence whose own links are not counted."""
    find(counts, source, target, room)
    leave(source, target, room)
    turn(counts, shapes, source, target, room)


@kernel
def find(counts: Counts, source: npt.NDArray[np.int32], target: npt.NDArray[np.int32], room: Desk) -> None:
    """Fill the desk's `lexical` with the counts of each pair of words, and note where each word of the sentence stands."""
    _stand(source, room.source_place, room.source_before)
    _stand(target, room.target_place, room.target_before)
    lexical, keys, values = room.lexical, counts.keys, counts.counts
    for chain in range(U(len(lexical))):
        for j in range(U(len(target))):
            for i in range(U(len(source))):
                lexical[chain, j, i] = 0
    for j in range(U(len(target))):
        room.hashes[j] = first_of(target[j])
    for i in range(U(len(source))):
        start, size = U(counts.start[source[i]]), U(counts.mask[source[i]] + 1)
        if size > U(2 * len(target)):
            _ask(keys, values, start, size, target, room.hashes, room.slots, room.met, i, lexical)
        else:
            _read(keys, values, start, size, room.target_place, room.target_before, i, lexical)


@kernel
def _stand(words: npt.NDArray[np.int32], place: npt.NDArray[np.int16], before: npt.NDArray[np.int16]) -> None:
    for j in range(U(len(words))):
        before[j] = place[U(words[j])]
        place[U(words[j])] = j


@kernel
def _ask(
    keys: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],
    start: int,
    size: int,
    target: npt.NDArray[np.int32],
    hashes: npt.NDArray[np.uint64],
    slots: npt.NDArray[np.uint64],
    met: npt.NDArray[np.int32],
    column: int,
    lexical: npt.NDArray[np.float32],
) -> None:
    """Look for each word of the sentence among a source word's slots: one step at a time for all of them, so that memory is waited for once."""
    mask, found = size - U(1), U(0)
    for j in range(U(len(target))):
        slots[j] = hashes[j] & mask
        met[j] = keys[start + slots[j]]
    for j in range(U(len(target))):
        slot, key = slots[j], met[j]
        while key != target[j] and key >= 0:
            slot = (slot + U(1)) & mask
            key = keys[start + slot]
        slots[found], met[found] = start + slot, j
        found += U(key >= 0)
    for n in range(found):
        for chain in range(U(len(lexical))):
            lexical[chain, U(met[n]), column] = values[slots[n], chain]


@kernel
def _read(
    keys: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],
    start: int,
    size: int,
    place: npt.NDArray[np.int16],
    before: npt.NDArray[np.int16],
    column: int,
    lexical: npt.NDArray[np.float32],
) -> None:
    """Read all slots of a source word, which are fewer, and look for their words in the sentence."""
    for slot in range(start, start + size):
        j = place[U(keys[slot])] if keys[slot] >= 0 else np.int16(-1)
        while j >= 0:
            for chain in range(U(len(lexical))):
                lexical[chain, U(j), column] = values[slot, chain]
            j = before[U(j)]


@kernel
def take_out(
    chain: int, source: npt.NDArray[np.int32], target: npt.NDArray[np.int32], links: npt.NDArray[np.int16], room: Desk
) -> None:
    """Take a sentence's own links in a chain out of the counts that `find` left: wherever the same two words stand."""
    lexical, source_before, target_before = room.lexical, room.source_before, room.target_before
    for j in range(U(len(links))):
        if links[j] < 0:
            continue
        row = room.target_place[U(target[j])]
        while row >= 0:
            column = room.source_place[U(source[U(links[j])])]
            while column >= 0:
                lexical[U(chain), U(row), U(column)] -= np.float32(1)
                column = source_before[U(column)]
            row = target_before[U(row)]


@kernel
def leave(source: npt.NDArray[np.int32], target: npt.NDArray[np.int32], room: Desk) -> None:
    """Forget where the words of the sentence stand."""
    for i in range(U(len(source))):
        room.source_place[U(source[i])] = -1
    for j in range(U(len(target))):
        room.target_place[U(target[j])] = -1


@kernel
def turn(counts: Counts, shapes: Shapes, source: npt.NDArray[np.int32], target: npt.NDArray[np.int32], room: Desk) -> None:
    """Turn the counts that `find` left into probabilities, and fill those of nothing, times ν / (1 - ν)."""
    lexical, share, alpha, smooth = room.lexical, room.share, np.float32(shapes.alpha), shapes.alpha * shapes.types
    for chain in range(U(len(lexical))):
        scale = shapes.null / (1 - shapes.null) / (counts.null_total[chain] + smooth)
        for i in range(U(len(source))):
            share[i] = np.float32(1.0 / (max(counts.totals[U(source[i]), chain], 0.0) + smooth))
        for j in range(U(len(target))):
            room.nulls[chain, j] = (max(counts.nulls[U(target[j]), chain], np.float32(0)) + shapes.alpha) * scale
            for i in range(U(len(source))):
                lexical[chain, j, i] = (max(lexical[chain, j, i], np.float32(0)) + alpha) * share[i]


@kernel
def lay_diagonal(diagonal: npt.NDArray[np.float32], rows: int, columns: int, lexical: npt.NDArray[np.float32]) -> None:
    """Multiply the probabilities by what `shapes.diagonal` gives their places."""
    step = 1.0 / columns
    for j in range(U(rows)):
        place = (j + 0.5) / rows
        for i in range(U(columns)):
            near = diagonal[U(abs((i + 0.5) * step - place) * BINS)]
            for chain in range(U(len(lexical))):
                lexical[chain, j, i] *= near


@kernel
def fertility(
    fertile: npt.NDArray[np.float32], usual: npt.NDArray[np.float64], belief: float, chain: int, source: int, taken: int
) -> float:
    """Return φ(source, taken + 1) / φ(source, taken), of `counts.fertile`, `shapes.usual` and `shapes.belief`."""
    c, e, k = U(chain), U(source), min(U(taken), U(FERTILITIES - 2))
    up = max(fertile[e, c, k + U(1)], np.float32(0)) + belief * usual[c, k + U(1)]
    ratio: float = up / (max(fertile[e, c, k], np.float32(0)) + belief * usual[c, k])
    return ratio


@kernel
def summed(weights: npt.NDArray[np.float32], columns: int) -> np.float32:
    """Return the sum of the first `columns` weights, in an order that is the same on every machine and that none has to wait for."""
    first, second, third, fourth = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    whole = U(columns) - U(columns) % U(4)
    for i in range(U(0), whole, U(4)):
        first += weights[i]
        second += weights[i + U(1)]
        third += weights[i + U(2)]
        fourth += weights[i + U(3)]
    for i in range(whole, U(columns)):
        first += weights[i]
    return (first + second) + (third + fourth)
