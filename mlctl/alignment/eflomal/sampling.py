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

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.counts import FERTILITIES, Counts, add, take_away
from mlctl.alignment.eflomal.numba_kernels import S, U, kernel
from mlctl.alignment.eflomal.sentence_buffer import (
    Desk,
    Shapes,
    Text,
    desk,
    fertility,
    find,
    lay_diagonal,
    leave,
    summed,
    take_out,
    turn,
)
from mlctl.core.random import GOLDEN, MULTIPLIER_1, MULTIPLIER_2, splitmix64

ALPHA = 0.001  # α
BELIEF = 1.0  # β
DIAGONAL = 4.0  # λ
FARTHEST = 100  # words: a wider jump counts as one of this width

NOTHING = np.int16(-1)

finalise = kernel(splitmix64)


@kernel
def seeded(seed: int, sweep: int, sentence: int) -> np.uint64:
    """Return the initial state of the random numbers of one visit: SplitMix64 of seed, sweep and sentence."""
    z = np.uint64(seed) * GOLDEN + np.uint64(sweep) * MULTIPLIER_1 + np.uint64(sentence + 1) * MULTIPLIER_2
    return finalise(z) | np.uint64(1)


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
    columns, rows = U(len(source)), U(len(links))
    taken, after, inverse, grow = room.taken, room.after, room.inverse, room.grow
    reach, fertile, usual = shapes.reach, counts.fertile, shapes.usual
    middle = U(shapes.jumps.shape[1] // 2)
    _take(links, len(source), taken)
    last = NOTHING
    for left in range(rows):
        j = rows - U(1) - left
        after[j] = last
        if links[j] >= 0:
            last = links[j]
    if stage > 0:
        for i in range(columns + U(1)):
            inverse[i] = 1.0 / (reach[chain, middle + columns - i + U(1)] - reach[chain, middle - i + U(1)])
    for i in range(columns):
        more = fertility(fertile, usual, shapes.belief, chain, source[i], taken[i]) if stage > 1 else 1.0
        grow[i] = more * inverse[i + U(1)] if stage > 0 else more


@kernel
def _take(links: npt.NDArray[np.int16], columns: int, taken: npt.NDArray[np.int32]) -> None:
    """Fill the number of links of each source word."""
    for i in range(U(columns)):
        taken[i] = 0
    for j in range(U(len(links))):
        if links[j] >= 0:
            taken[U(links[j])] += 1


@kernel
def _by_words(weights: npt.NDArray[np.float32], lexical: npt.NDArray[np.float32], c: int, j: int, columns: int) -> None:
    """Fill the weights of the source words for target word j: t, which has the diagonal in it."""
    for i in range(U(columns)):
        weights[i] = lexical[c, j, i]


@kernel
def _by_jumps(
    weights: npt.NDArray[np.float32],
    lexical: npt.NDArray[np.float32],
    c: int,
    j: int,
    columns: int,
    jumps: npt.NDArray[np.float32],
    first: int,
    back: npt.NDArray[np.float32],
    last: int,
    grow: npt.NDArray[np.float32],
) -> None:
    """Fill the weights of the source words for target word j: t, the jump to each (from `jumps[c, first]` on), that from it to the next link (`back[c, last]` on) and `grow`."""
    for i in range(U(columns)):
        weights[i] = lexical[c, j, i] * jumps[c, first + i] * (back[c, last + i] * grow[i])


@kernel
def _by_last_jump(
    weights: npt.NDArray[np.float32],
    lexical: npt.NDArray[np.float32],
    c: int,
    j: int,
    columns: int,
    jumps: npt.NDArray[np.float32],
    first: int,
    grow: npt.NDArray[np.float32],
    inverse: npt.NDArray[np.float32],
) -> None:
    """The same where no link follows."""
    for i in range(U(columns)):
        weights[i] = lexical[c, j, i] * jumps[c, first + i] * (grow[i] / inverse[i + U(1)])


@kernel
def _pick(weights: npt.NDArray[np.float32], columns: int, left: np.float32) -> int:
    """Return where the running sum of the weights passes `left`, which is below their sum."""
    for i in range(U(columns - 1)):
        left -= weights[i]
        if left < 0:
            return S(i)
    return S(columns) - S(1)


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
    return _pick(weights, columns, left) if left < some else S(-1)


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
    columns, rows, c, middle, previous = len(source), len(links), U(chain), shapes.jumps.shape[1] // 2, -1
    weights, lexical, grow, inverse, taken, after = room.weights, room.lexical, room.grow, room.inverse, room.taken, room.after
    jumps, back, fertile, usual, belief = shapes.jumps, shapes.back, counts.fertile, shapes.usual, shapes.belief
    for j in range(U(rows)):
        old, nothing, following = links[j], room.nulls[c, j], after[j]
        if old >= 0:
            i = U(old)
            taken[i] -= 1
            if stage > 1:
                grow[i] = fertility(fertile, usual, belief, chain, source[i], taken[i]) * inverse[i + U(1)]
        # All weights lack the factor 1 / Z(a_p).
        if stage == 0:
            _by_words(weights, lexical, c, j, columns)
        elif following < 0:
            _by_last_jump(weights, lexical, c, j, columns, jumps, U(middle - previous), grow, inverse)
            nothing /= inverse[U(previous + 1)]
        else:
            _by_jumps(weights, lexical, c, j, columns, jumps, U(middle - previous), back, U(middle - following), grow)
            nothing *= jumps[c, U(middle + following - previous)]
        some = summed(weights, columns)
        state = _next(state)
        new = _drawn(weights, columns, some, nothing, state)
        if sharp:
            state = _next(state)
            other = _drawn(weights, columns, some, nothing, state)
            if (weights[U(other)] if other >= 0 else nothing) > (weights[U(new)] if new >= 0 else nothing):
                new = other
        links[j] = new
        if new >= 0:
            i, previous = U(new), new
            taken[i] += 1
            if stage > 1:
                grow[i] = fertility(fertile, usual, belief, chain, source[i], taken[i]) * inverse[i + U(1)]
    return state


@kernel
def tally(
    counts: Counts,
    chain: int,
    source: npt.NDArray[np.int32],
    target: npt.NDArray[np.int32],
    links: npt.NDArray[np.int16],
    weight: int,
    room: Desk,
) -> None:
    """Count (`weight` 1) or take away (-1) what a sentence's links in a chain say of each word by itself."""
    c, taken, totals, nulls, fertile = U(chain), room.taken, counts.totals, counts.nulls, counts.fertile
    for j in range(U(len(links))):
        if links[j] >= 0:
            totals[U(source[U(links[j])]), c] += weight
        else:
            nulls[U(target[j]), c] += weight
            counts.null_total[c] += weight
    _take(links, len(source), taken)
    for i in range(U(len(source))):
        fertile[U(source[i]), c, min(U(taken[i]), U(FERTILITIES - 1))] += weight


@kernel
def move(
    counts: Counts,
    chain: int,
    source: npt.NDArray[np.int32],
    target: npt.NDArray[np.int32],
    old: npt.NDArray[np.int16],
    new: npt.NDArray[np.int16],
) -> None:
    """Count a sentence's links in a chain that are new, and take those away that are gone: most are neither. The arena has room."""
    for j in range(U(len(new))):
        if old[j] != new[j]:
            if old[j] >= 0:
                take_away(counts, chain, source[U(old[j])], target[j])
            if new[j] >= 0:
                add(counts, chain, source[U(new[j])], target[j], 1.0)


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
        find(counts, source, target, room)
        for chain in range(len(seeds)):
            if fresh:
                own[chain] = NOTHING
            else:
                take_out(chain, source, target, own[chain], room)
                tally(counts, chain, source, target, own[chain], -1, room)
        leave(source, target, room)
        turn(counts, shapes, source, target, room)
        if stage == 0:
            lay_diagonal(shapes.diagonal, len(target), len(source), room.lexical)
        for chain in range(len(seeds)):
            room.before[: len(target)] = own[chain]
            prepare(counts, shapes, chain, source, own[chain], stage, room)
            visit(counts, shapes, chain, source, own[chain], stage, seeded(seeds[chain], number, s), room, sharp)
            tally(counts, chain, source, target, own[chain], 1, room)
            move(counts, chain, source, target, room.before, own[chain])
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
