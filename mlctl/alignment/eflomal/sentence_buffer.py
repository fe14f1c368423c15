"""What a visit to a sentence works on: what the counts and the parameters say of its words, looked up once for all chains.

The formulas are those of `mlctl.alignment.eflomal.sampling`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.counts import FERTILITIES, Counts, hash_word
from mlctl.alignment.eflomal.numba_kernels import U, kernel

DISTANCE_BINS = 64  # of the distance from the diagonal


class Corpus(NamedTuple):
    """Both sides of the sentences, as numbers of words; sentence s is the slice [offsets[s], offsets[s + 1])."""

    source: npt.NDArray[np.int32]
    source_offsets: npt.NDArray[np.int64]
    target: npt.NDArray[np.int32]
    target_offsets: npt.NDArray[np.int64]

    def reversed(self) -> Corpus:
        """Return the text of the other direction."""
        return Corpus(self.target, self.target_offsets, self.source, self.source_offsets)


class SharedParameters(NamedTuple):
    """What does not depend on the words, in C chains.

    Attributes:
        jumps: J of each width from -most to most (C, 2 most + 1).
        back: the same, the other way round.
        reach: sums of J up to each width (C, 2 most + 2).
        usual: P(k), of each number of links (C, FERTILITIES).
        diagonal: factor of each distance from the diagonal (DISTANCE_BINS + 1,).
        types: W.
        null: ν.
        belief: β.
        alpha: α.
    """

    jumps: npt.NDArray[np.float32]
    reversed_jumps: npt.NDArray[np.float32]
    jump_sums: npt.NDArray[np.float64]
    fertility_prior: npt.NDArray[np.float64]
    diagonal: npt.NDArray[np.float32]
    target_types: int
    null_prior: float
    fertility_strength: float
    alpha: float


class SentenceBuffer(NamedTuple):
    """Room to work on one sentence of I source and J target words at a time."""

    lexical: npt.NDArray[np.float32]  # (C, J, I) t(f_j | e_i)
    nulls: npt.NDArray[np.float32]  # (C, J) that of nothing
    inverse_totals: npt.NDArray[np.float32]  # (I,) 1 / (c(e_i) + α W) in one chain
    factors: npt.NDArray[np.float32]  # (I,) fertility, times 1 / Z(i) where jumps count
    inverse_norms: npt.NDArray[np.float32]  # (I + 1,) 1 / Z(i - 1)
    next_links: npt.NDArray[np.int16]  # (J,)
    fertilities: npt.NDArray[np.int32]  # (I,)
    weights: npt.NDArray[np.float32]  # (I,)
    target_last: npt.NDArray[np.int16]  # (W,) last place of each target word in the sentence, -1: none
    target_previous: npt.NDArray[np.int16]  # (J,) place of the same word before
    source_last: npt.NDArray[np.int16]  # (V,) the same of source words
    source_previous: npt.NDArray[np.int16]  # (I,)
    old_links: npt.NDArray[np.int16]  # (J,) links before a visit
    hashes: npt.NDArray[np.uint64]  # (J,) of target words
    slots: npt.NDArray[np.uint64]  # (J,) of one source word, where target words may be
    candidates: npt.NDArray[np.int32]  # (J,) what is there, then places of those that are there


@kernel
def allocate_buffer(corpus: Corpus, lo: int, hi: int, counts: Counts) -> SentenceBuffer:
    """Return buffer for the longest of the sentences [lo, hi) in as many chains as `counts` has."""
    longest, longest_target = 1, 1
    for s in range(lo, hi):
        longest = max(longest, corpus.source_offsets[s + 1] - corpus.source_offsets[s])
        longest_target = max(longest_target, corpus.target_offsets[s + 1] - corpus.target_offsets[s])
    targets, chains = counts.nulls.shape
    return SentenceBuffer(
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
def load_probabilities(
    counts: Counts,
    parameters: SharedParameters,
    source: npt.NDArray[np.int32],
    target: npt.NDArray[np.int32],
    buffer: SentenceBuffer,
) -> None:
    """Fill the desk's lexical probabilities of a sentence whose own links are not counted."""
    load_counts(counts, source, target, buffer)
    reset(source, target, buffer)
    to_probabilities(counts, parameters, source, target, buffer)


@kernel
def load_counts(counts: Counts, source: npt.NDArray[np.int32], target: npt.NDArray[np.int32], buffer: SentenceBuffer) -> None:
    """Fill the desk's `lexical` with the counts of each pair of words, and note where each word of the sentence stands."""
    _index_positions(source, buffer.source_last, buffer.source_previous)
    _index_positions(target, buffer.target_last, buffer.target_previous)
    lexical, keys, values = buffer.lexical, counts.keys, counts.counts
    for chain in range(U(len(lexical))):
        for j in range(U(len(target))):
            for i in range(U(len(source))):
                lexical[chain, j, i] = 0
    for j in range(U(len(target))):
        buffer.hashes[j] = hash_word(target[j])
    for i in range(U(len(source))):
        start, size = U(counts.start[source[i]]), U(counts.mask[source[i]] + 1)
        if size > U(2 * len(target)):
            _look_up_words(keys, values, start, size, target, buffer.hashes, buffer.slots, buffer.candidates, i, lexical)
        else:
            _scan_slots(keys, values, start, size, buffer.target_last, buffer.target_previous, i, lexical)


@kernel
def _index_positions(words: npt.NDArray[np.int32], place: npt.NDArray[np.int16], before: npt.NDArray[np.int16]) -> None:
    for j in range(U(len(words))):
        before[j] = place[U(words[j])]
        place[U(words[j])] = j


@kernel
def _look_up_words(
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
def _scan_slots(
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
def subtract_own_links(
    chain: int, source: npt.NDArray[np.int32], target: npt.NDArray[np.int32], links: npt.NDArray[np.int16], buffer: SentenceBuffer
) -> None:
    """Take a sentence's own links in a chain out of the counts that `find` left: wherever the same two words stand."""
    lexical, source_before, target_before = buffer.lexical, buffer.source_previous, buffer.target_previous
    for j in range(U(len(links))):
        if links[j] < 0:
            continue
        row = buffer.target_last[U(target[j])]
        while row >= 0:
            column = buffer.source_last[U(source[U(links[j])])]
            while column >= 0:
                lexical[U(chain), U(row), U(column)] -= np.float32(1)
                column = source_before[U(column)]
            row = target_before[U(row)]


@kernel
def reset(source: npt.NDArray[np.int32], target: npt.NDArray[np.int32], buffer: SentenceBuffer) -> None:
    """Forget where the words of the sentence stand."""
    for i in range(U(len(source))):
        buffer.source_last[U(source[i])] = -1
    for j in range(U(len(target))):
        buffer.target_last[U(target[j])] = -1


@kernel
def to_probabilities(
    counts: Counts,
    parameters: SharedParameters,
    source: npt.NDArray[np.int32],
    target: npt.NDArray[np.int32],
    buffer: SentenceBuffer,
) -> None:
    """Turn the counts that `find` left into probabilities, and fill those of nothing, times ν / (1 - ν)."""
    lexical, inverse_totals, alpha, smooth = (
        buffer.lexical,
        buffer.inverse_totals,
        np.float32(parameters.alpha),
        parameters.alpha * parameters.target_types,
    )
    for chain in range(U(len(lexical))):
        scale = parameters.null_prior / (1 - parameters.null_prior) / (counts.null_total[chain] + smooth)
        for i in range(U(len(source))):
            inverse_totals[i] = np.float32(1.0 / (max(counts.totals[U(source[i]), chain], 0.0) + smooth))
        for j in range(U(len(target))):
            buffer.nulls[chain, j] = (max(counts.nulls[U(target[j]), chain], np.float32(0)) + parameters.alpha) * scale
            for i in range(U(len(source))):
                lexical[chain, j, i] = (max(lexical[chain, j, i], np.float32(0)) + alpha) * inverse_totals[i]


@kernel
def apply_diagonal(diagonal: npt.NDArray[np.float32], rows: int, columns: int, lexical: npt.NDArray[np.float32]) -> None:
    """Multiply the probabilities by what `parameters.diagonal` gives their places."""
    step = 1.0 / columns
    for j in range(U(rows)):
        place = (j + 0.5) / rows
        for i in range(U(columns)):
            near = diagonal[U(abs((i + 0.5) * step - place) * DISTANCE_BINS)]
            for chain in range(U(len(lexical))):
                lexical[chain, j, i] *= near


@kernel
def fertility_ratio(
    fertile: npt.NDArray[np.float32], usual: npt.NDArray[np.float64], belief: float, chain: int, source: int, taken: int
) -> float:
    """Return φ(source, taken + 1) / φ(source, taken), of `counts.fertile`, `parameters.fertility_prior` and `parameters.fertility_strength`."""
    c, e, k = U(chain), U(source), min(U(taken), U(FERTILITIES - 2))
    up = max(fertile[e, c, k + U(1)], np.float32(0)) + belief * usual[c, k + U(1)]
    ratio: float = up / (max(fertile[e, c, k], np.float32(0)) + belief * usual[c, k])
    return ratio


@kernel
def ordered_sum(weights: npt.NDArray[np.float32], columns: int) -> np.float32:
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
