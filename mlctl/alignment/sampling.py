"""Gibbs sampling of word alignments: one visit to a sentence draws, for every target word, which source word it translates.

The model is that of Östling and Tiedemann, "Efficient word alignment with Markov Chain Monte Carlo" (PBML 106, 2016): target word j
is linked to source word a_j or to nothing. Given all other links, and with c the counts over all other sentences,

    P(a_j = i) ∝ (c(e_i, f_j) + α) / (c(e_i) + α W) · J(i - a_p) / Z(a_p) · J(a_n - i) / Z(i) · φ(e_i, k_i + 1) / φ(e_i, k_i)

where W is the number of target words, a_p and a_n are the links of the nearest linked words before and after j, J is the share of
jumps of that width (a hidden Markov model: Vogel, Ney and Tillmann 1996), Z(a) the sum of J over the positions of the sentence
that a jump from a can reach, k_i the other links of source word i, and φ(e, k) = (c(e, k) + β P(k)) / (c(e) + β) its fertility. The
link to nothing has P ∝ ν (c_0(f_j) + α) / (c_0 + α W) · J(a_n - a_p) / Z(a_p), the others share 1 - ν. The first sweeps have, for
J/Z, exp(-λ |i/I - j/J|), the diagonal of Dyer, Chahuneau and Smith (NAACL 2013), and no fertility.

A sentence's own counts are taken away before its visit and added after it: within a visit its words do not see one another's.

Several chains, C, are sampled side by side. None knows of another; they share the search for the counts of each pair of words.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.alignment.counts import FERTILITIES, Counts, add, slot_of, take_away
from mlctl.alignment.kernels import kernel

ALPHA = 0.001  # α
BELIEF = 1.0  # β
DIAGONAL = 4.0  # λ
FARTHEST = 100  # words: a wider jump counts as one of this width
BINS = 64  # of the distance from the diagonal

NOTHING = np.int16(-1)


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

    lexical: npt.NDArray[np.float32]  # (C, J, I)
    nulls: npt.NDArray[np.float32]  # (C, J)
    share: npt.NDArray[np.float32]  # (C,) 1 / (c(e_i) + α W) of one source word
    grow: npt.NDArray[np.float32]  # (I,) fertility, times 1 / Z(i) where jumps count
    inverse: npt.NDArray[np.float32]  # (I + 1,) 1 / Z(i - 1)
    after: npt.NDArray[np.int16]  # (J,)
    taken: npt.NDArray[np.int32]  # (I,)
    weights: npt.NDArray[np.float32]  # (I,)
    where: npt.NDArray[np.int16]  # (W,) place of each target word in the sentence
    same: npt.NDArray[np.int16]  # (J,) place of the same word before


@kernel
def desk(text: Text, lo: int, hi: int, counts: Counts) -> Desk:
    """Return room for the longest of the sentences [lo, hi) in as many chains as `counts` has."""
    longest, longest_target = 1, 1
    for s in range(lo, hi):
        longest = max(longest, text.source_offsets[s + 1] - text.source_offsets[s])
        longest_target = max(longest_target, text.target_offsets[s + 1] - text.target_offsets[s])
    chains, targets = counts.nulls.shape
    return Desk(
        np.empty((chains, longest_target, longest), np.float32),
        np.empty((chains, longest_target), np.float32),
        np.empty(chains, np.float32),
        np.empty(longest, np.float32),
        np.empty(longest + 1, np.float32),
        np.empty(longest_target, np.int16),
        np.empty(longest, np.int32),
        np.empty(longest, np.float32),
        np.full(targets, -1, np.int16),
        np.empty(longest_target, np.int16),
    )


@kernel
def seeded(seed: int, sweep: int, sentence: int) -> np.uint64:
    """Return the state of the random numbers of one visit (splitmix64 of the three)."""
    z = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(sweep) * np.uint64(0xBF58476D1CE4E5B9)
    z += np.uint64(sentence + 1) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z | np.uint64(1)


@kernel
def look_up(counts: Counts, shapes: Shapes, source: npt.NDArray[np.int32], target: npt.NDArray[np.int32], room: Desk) -> None:
    """Fill the desk's lexical probabilities of a sentence, and those of nothing times ν / (1 - ν)."""
    where, same = room.where, room.same
    smooth = shapes.alpha * shapes.types
    for j in range(len(target)):
        same[j] = where[target[j]]
        where[target[j]] = j
    for chain in range(len(room.share)):
        scale = shapes.null / (1 - shapes.null) / (counts.null_total[chain] + smooth)
        for j in range(len(target)):
            room.nulls[chain, j] = (max(counts.nulls[chain, target[j]], np.float32(0)) + shapes.alpha) * scale
    for i in range(len(source)):
        for chain in range(len(room.share)):
            room.share[chain] = np.float32(1.0 / (max(counts.totals[chain, source[i]], 0.0) + smooth))
        _look_up_row(counts, source[i], target, i, np.float32(shapes.alpha), room)
    for j in range(len(target)):
        where[target[j]] = -1


@kernel
def _look_up_row(counts: Counts, source: int, target: npt.NDArray[np.int32], column: int, alpha: np.float32, room: Desk) -> None:
    """A row shorter than the sentence is read through and its words are looked for in the sentence; a longer one is asked for each."""
    where, same = room.where, room.same
    for chain in range(len(room.share)):
        for j in range(len(target)):
            room.lexical[chain, j, column] = alpha * room.share[chain]
    size = counts.mask[source] + 1
    if size <= 2 * len(target):
        for slot in range(counts.start[source], counts.start[source] + size):
            key = counts.keys[slot]
            place = int(where[key]) if key >= 0 else -1
            while place >= 0:
                _copy(counts, slot, place, column, alpha, room)
                place = same[place]
        return
    for j in range(len(target)):
        slot = slot_of(counts, source, target[j])
        if slot >= 0:
            _copy(counts, slot, j, column, alpha, room)


@kernel
def _copy(counts: Counts, slot: int, row: int, column: int, alpha: np.float32, room: Desk) -> None:
    for chain in range(len(room.share)):
        room.lexical[chain, row, column] = counts.counts[slot, chain] * room.share[chain] + alpha * room.share[chain]


@kernel
def fertility(counts: Counts, shapes: Shapes, chain: int, source: int, taken: int) -> float:
    """Return φ(source, taken + 1) / φ(source, taken)."""
    k = min(taken, FERTILITIES - 2)
    fertile, usual = counts.fertile[chain, source], shapes.usual[chain]
    up = max(fertile[k + 1], np.float32(0)) + shapes.belief * usual[k + 1]
    ratio: float = up / (max(fertile[k], np.float32(0)) + shapes.belief * usual[k])
    return ratio


@kernel
def prepare(
    counts: Counts,
    shapes: Shapes,
    chain: int,
    source: npt.NDArray[np.int32],
    links: npt.NDArray[np.int16],
    stage: int,
    room: Desk,
) -> None:
    """Fill the desk's other parts, given the sentence's links in a chain (J,), -1: nothing."""
    columns, reach = len(source), shapes.reach[chain]
    middle = shapes.jumps.shape[1] // 2
    room.taken[:columns] = 0
    for j in range(len(links)):
        if links[j] >= 0:
            room.taken[links[j]] += 1
    last = NOTHING
    for j in range(len(links) - 1, -1, -1):
        room.after[j] = last
        if links[j] >= 0:
            last = links[j]
    if stage > 0:
        for i in range(columns + 1):
            room.inverse[i] = 1.0 / (reach[middle + columns - i + 1] - reach[middle - i + 1])
    for i in range(columns):
        grow = fertility(counts, shapes, chain, source[i], room.taken[i]) if stage > 1 else 1.0
        room.grow[i] = grow * room.inverse[i + 1] if stage > 0 else grow


@kernel
def _weigh(shapes: Shapes, chain: int, stage: int, j: int, rows: int, columns: int, previous: int, room: Desk) -> float:
    """Fill the desk's weights of the source words for target word j and return that of nothing. Both lack the factor 1 / Z(a_p)."""
    nothing: float = room.nulls[chain, j]
    weights, lexical, grow, inverse, after = room.weights, room.lexical[chain, j], room.grow, room.inverse, room.after[j]
    if stage == 0:
        place, step = (j + 0.5) / rows, 1.0 / columns
        for i in range(columns):
            weights[i] = lexical[i] * shapes.diagonal[int(abs((i + 0.5) * step - place) * BINS)]
        return nothing
    middle = shapes.jumps.shape[1] // 2
    jumps = shapes.jumps[chain, middle - previous : middle - previous + columns]
    if after < 0:
        for i in range(columns):
            weights[i] = lexical[i] * jumps[i] * (grow[i] / inverse[i + 1])
        nothing /= inverse[previous + 1]
        return nothing
    back = shapes.back[chain, middle - after : middle - after + columns]
    for i in range(columns):
        weights[i] = lexical[i] * jumps[i] * (back[i] * grow[i])
    nothing *= shapes.jumps[chain, middle + after - previous]
    return nothing


@kernel
def summed(weights: npt.NDArray[np.float32], columns: int) -> np.float32:
    """Return the sum of the first `columns` weights, in an order that is the same on every machine and that none has to wait for."""
    first, second, third, fourth = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for i in range(0, columns - 3, 4):
        first += weights[i]
        second += weights[i + 1]
        third += weights[i + 2]
        fourth += weights[i + 3]
    for i in range(columns - columns % 4, columns):
        first += weights[i]
    return (first + second) + (third + fourth)


@kernel
def _pick(weights: npt.NDArray[np.float32], columns: int, left: np.float32) -> int:
    """Return where the running sum of the weights passes `left`, which is below their sum."""
    for i in range(columns - 1):
        left -= weights[i]
        if left < 0:
            return i
    return columns - 1


@kernel
def _next(state: np.uint64) -> np.uint64:
    """Return the random number after this one (xorshift)."""
    state ^= state >> np.uint64(12)
    state ^= state << np.uint64(25)
    state ^= state >> np.uint64(27)
    return state


@kernel
def _drawn(weights: npt.NDArray[np.float32], columns: int, some: np.float32, nothing: np.float32, state: np.uint64) -> int:
    """Draw a source word by weight (their sum is `some`), or -1, which has the weight `nothing`."""
    left = np.float32((state >> np.uint64(40)) / 16777216.0) * (some + nothing)
    return _pick(weights, columns, left) if left < some else -1


@kernel
def visit(
    counts: Counts,
    shapes: Shapes,
    chain: int,
    source: npt.NDArray[np.int32],
    links: npt.NDArray[np.int16],
    stage: int,
    state: np.uint64,
    room: Desk,
    sharp: bool,
) -> np.uint64:
    """Draw all links of a sentence in a chain in turn and return the state of the random numbers.

    `sharp`: each word takes the likelier of two draws.
    """
    columns, rows = len(source), len(links)
    weights, grow, inverse, taken = room.weights, room.grow, room.inverse, room.taken
    previous = -1
    for j in range(rows):
        old = links[j]
        if old >= 0:
            taken[old] -= 1
            if stage > 1:
                grow[old] = fertility(counts, shapes, chain, source[old], taken[old]) * inverse[old + 1]
        nothing = np.float32(_weigh(shapes, chain, stage, j, rows, columns, previous, room))
        some = summed(weights, columns)
        state = _next(state)
        new = _drawn(weights, columns, some, nothing, state)
        if sharp:
            state = _next(state)
            other = _drawn(weights, columns, some, nothing, state)
            if (weights[other] if other >= 0 else nothing) > (weights[new] if new >= 0 else nothing):
                new = other
        links[j] = new
        if new >= 0:
            taken[new] += 1
            previous = new
            if stage > 1:
                grow[new] = fertility(counts, shapes, chain, source[new], taken[new]) * inverse[new + 1]
    return state


@kernel
def count(
    counts: Counts,
    chain: int,
    source: npt.NDArray[np.int32],
    target: npt.NDArray[np.int32],
    links: npt.NDArray[np.int16],
    weight: int,
    room: Desk,
) -> None:
    """Count the links of a sentence in a chain (`weight` 1, the arena has room), or take them away (-1)."""
    taken = room.taken
    taken[: len(source)] = 0
    for j in range(len(links)):
        i = links[j]
        if i < 0:
            counts.nulls[chain, target[j]] += weight
            counts.null_total[chain] += weight
            continue
        taken[i] += 1
        counts.totals[chain, source[i]] += weight
        if weight > 0:
            add(counts, chain, source[i], target[j], 1.0)
        else:
            take_away(counts, chain, source[i], target[j])
    for i in range(len(source)):
        counts.fertile[chain, source[i], min(taken[i], FERTILITIES - 1)] += weight


@kernel
def sweep(
    counts: Counts,
    shapes: Shapes,
    text: Text,
    links: npt.NDArray[np.int16],
    stage: int,
    first: int,
    fresh: bool,
    seeds: npt.NDArray[np.int64],
    number: int,
    sharp: bool,
) -> int:
    """Visit the sentences from `first` on, each with the counts that the ones before it left.

    `stage` is 0: words and the diagonal, 1: words and jumps, 2: fertilities too. `fresh`: the sentences have no links yet.
    `links` is (C, target words), `seeds` (C,). `sharp`: see `visit`.
    Returns the number of sentences done; fewer than there are when the arena is full.
    """
    sentences = len(text.source_offsets) - 1
    room = desk(text, first, sentences, counts)
    for s in range(first, sentences):
        source = text.source[text.source_offsets[s] : text.source_offsets[s + 1]]
        target = text.target[text.target_offsets[s] : text.target_offsets[s + 1]]
        own = links[:, text.target_offsets[s] : text.target_offsets[s + 1]]
        if not _has_room(counts, source, len(target)):
            return s
        for chain in range(len(seeds)):
            if fresh:
                own[chain] = NOTHING
            else:
                count(counts, chain, source, target, own[chain], -1, room)
        look_up(counts, shapes, source, target, room)
        for chain in range(len(seeds)):
            prepare(counts, shapes, chain, source, own[chain], stage, room)
            visit(counts, shapes, chain, source, own[chain], stage, seeded(seeds[chain], number, s), room, sharp)
            count(counts, chain, source, target, own[chain], 1, room)
    return sentences


@kernel
def _has_room(counts: Counts, source: npt.NDArray[np.int32], targets: int) -> bool:
    """Tell whether the arena has room for the links of a sentence of that many target words, whatever they are."""
    links = targets * len(counts.null_total)
    free = len(counts.keys) - counts.ends[0] - 8 * links - 64
    for i in range(len(source)):
        if 4 * (counts.used[source[i]] + links) > 3 * (counts.mask[source[i]] + 1) and source[i] not in source[:i]:
            free -= 2 * counts.mask[source[i]] + 16
    enough: bool = free >= 0
    return enough


@kernel
def widths(text: Text, links: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Count the jumps between linked words by width, from -FARTHEST to FARTHEST; the first is from before the first word."""
    found = np.zeros(2 * FARTHEST + 1, np.float64)
    for s in range(len(text.target_offsets) - 1):
        previous = -1
        for j in range(text.target_offsets[s], text.target_offsets[s + 1]):
            if links[j] >= 0:
                found[min(max(links[j] - previous, -FARTHEST), FARTHEST) + FARTHEST] += 1
                previous = links[j]
    return found
