"""Preallocated buffers for one sentence pair: its lexical probabilities, looked up once for all chains, and working memory.

The formulas are those of `mlctl.alignment.eflomal.sampling`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.counts import FERTILITIES, Counts, hash_word
from mlctl.alignment.eflomal.numba_jit import U, kernel

DISTANCE_BINS = 64  # of the distance from the diagonal


class Corpus(NamedTuple):
    """Word ids of both sides of all sentences; sentence s is the slice [offsets[s], offsets[s + 1])."""

    source: npt.NDArray[np.int32]
    source_offsets: npt.NDArray[np.int64]
    target: npt.NDArray[np.int32]
    target_offsets: npt.NDArray[np.int64]

    def reversed(self) -> Corpus:
        """Return the corpus of the other direction."""
        return Corpus(self.target, self.target_offsets, self.source, self.source_offsets)


class SharedParameters(NamedTuple):
    """Parameters that all words share, in C chains.

    Attributes:
        jumps: J of each width from -m to m, m being the longest possible jump (C, 2 m + 1).
        reversed_jumps: the same from m to -m.
        jump_sums: cumulative sums of J by width (C, 2 m + 2).
        fertility_prior: P(k) of each fertility k (C, FERTILITIES).
        diagonal: factor of each distance from the diagonal (DISTANCE_BINS + 1,).
        target_types: W.
        null_prior: ν.
        fertility_strength: β.
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
    """Preallocated buffers for one sentence pair of I source and J target words."""

    lexical: npt.NDArray[np.float32]  # (C, J, I) t(f_j | e_i)
    nulls: npt.NDArray[np.float32]  # (C, J) t of the link to nothing, times ν / (1 - ν)
    inverse_totals: npt.NDArray[np.float32]  # (I,) 1 / (c(e_i) + α W) in one chain
    factors: npt.NDArray[np.float32]  # (I,) fertility ratio, times 1 / Z(i) in the stages with jumps
    inverse_norms: npt.NDArray[np.float32]  # (I + 1,) 1 / Z(i - 1)
    next_links: npt.NDArray[np.int16]  # (J,) link of the nearest linked word after each word, -1: none
    fertilities: npt.NDArray[np.int32]  # (I,) number of links of each source word
    weights: npt.NDArray[np.float32]  # (I,) of the source words for one target word
    target_last: npt.NDArray[np.int16]  # (W,) last position of each target word in the sentence, -1: none
    target_previous: npt.NDArray[np.int16]  # (J,) previous position of the same word, -1: none
    source_last: npt.NDArray[np.int16]  # (V,) last position of each source word
    source_previous: npt.NDArray[np.int16]  # (I,) previous position of the same word
    old_links: npt.NDArray[np.int16]  # (J,) links before a visit
    hashes: npt.NDArray[np.uint64]  # (J,) of target words
    slots: npt.NDArray[np.uint64]  # (J,) slots of one source word in which target words may be found
    candidates: npt.NDArray[np.int32]  # (J,) keys of these slots, then the positions of the words that were found


@kernel
def allocate_buffer(corpus: Corpus, first: int, last: int, counts: Counts) -> SentenceBuffer:
    """Return buffers for the longest of the sentences [first, last), with the chains of `counts`."""
    longest, longest_target = 1, 1
    for s in range(first, last):
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
    """Fill the lexical probabilities of a sentence whose own links are not in the counts."""
    load_counts(counts, source, target, buffer)
    reset(source, target, buffer)
    to_probabilities(counts, parameters, source, target, buffer)


@kernel
def load_counts(counts: Counts, source: npt.NDArray[np.int32], target: npt.NDArray[np.int32], buffer: SentenceBuffer) -> None:
    """Fill `lexical` with the counts of each word pair, and build the position index of the sentence's words."""
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
def _index_positions(words: npt.NDArray[np.int32], last: npt.NDArray[np.int16], previous: npt.NDArray[np.int16]) -> None:
    for j in range(U(len(words))):
        previous[j] = last[U(words[j])]
        last[U(words[j])] = j


@kernel
def _look_up_words(
    keys: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],
    start: int,
    size: int,
    target: npt.NDArray[np.int32],
    hashes: npt.NDArray[np.uint64],
    slots: npt.NDArray[np.uint64],
    candidates: npt.NDArray[np.int32],
    column: int,
    lexical: npt.NDArray[np.float32],
) -> None:
    """Look up each target word in a source word's hash table. The first probes of all words come first, so that their memory latencies overlap."""
    mask, found = size - U(1), U(0)
    for j in range(U(len(target))):
        slots[j] = hashes[j] & mask
        candidates[j] = keys[start + slots[j]]
    for j in range(U(len(target))):
        slot, key = slots[j], candidates[j]
        while key != target[j] and key >= 0:
            slot = (slot + U(1)) & mask
            key = keys[start + slot]
        slots[found], candidates[found] = start + slot, j
        found += U(key >= 0)
    for n in range(found):
        for chain in range(U(len(lexical))):
            lexical[chain, U(candidates[n]), column] = values[slots[n], chain]


@kernel
def _scan_slots(
    keys: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],
    start: int,
    size: int,
    last: npt.NDArray[np.int16],
    previous: npt.NDArray[np.int16],
    column: int,
    lexical: npt.NDArray[np.float32],
) -> None:
    """Read all slots of a source word, if there are few, and look up their words in the sentence's position index."""
    for slot in range(start, start + size):
        j = last[U(keys[slot])] if keys[slot] >= 0 else np.int16(-1)
        while j >= 0:
            for chain in range(U(len(lexical))):
                lexical[chain, U(j), column] = values[slot, chain]
            j = previous[U(j)]


@kernel
def subtract_own_links(
    chain: int, source: npt.NDArray[np.int32], target: npt.NDArray[np.int32], links: npt.NDArray[np.int16], buffer: SentenceBuffer
) -> None:
    """Subtract a sentence's own links in a chain from the counts of `load_counts`, in each cell with the same two words."""
    lexical, source_previous, target_previous = buffer.lexical, buffer.source_previous, buffer.target_previous
    for j in range(U(len(links))):
        if links[j] < 0:
            continue
        row = buffer.target_last[U(target[j])]
        while row >= 0:
            column = buffer.source_last[U(source[U(links[j])])]
            while column >= 0:
                lexical[U(chain), U(row), U(column)] -= np.float32(1)
                column = source_previous[U(column)]
            row = target_previous[U(row)]


@kernel
def reset(source: npt.NDArray[np.int32], target: npt.NDArray[np.int32], buffer: SentenceBuffer) -> None:
    """Reset the position index."""
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
    """Convert the counts of `load_counts` to probabilities, and fill `nulls`."""
    lexical, inverse_totals = buffer.lexical, buffer.inverse_totals
    alpha, smoothing = np.float32(parameters.alpha), parameters.alpha * parameters.target_types
    for chain in range(U(len(lexical))):
        scale = parameters.null_prior / (1 - parameters.null_prior) / (counts.null_total[chain] + smoothing)
        for i in range(U(len(source))):
            inverse_totals[i] = np.float32(1.0 / (max(counts.totals[U(source[i]), chain], 0.0) + smoothing))
        for j in range(U(len(target))):
            buffer.nulls[chain, j] = (max(counts.nulls[U(target[j]), chain], np.float32(0)) + parameters.alpha) * scale
            for i in range(U(len(source))):
                lexical[chain, j, i] = (max(lexical[chain, j, i], np.float32(0)) + alpha) * inverse_totals[i]


@kernel
def apply_diagonal(diagonal: npt.NDArray[np.float32], rows: int, columns: int, lexical: npt.NDArray[np.float32]) -> None:
    """Multiply the probabilities by the factor `parameters.diagonal` of their distance from the diagonal."""
    step = 1.0 / columns
    for j in range(U(rows)):
        position = (j + 0.5) / rows
        for i in range(U(columns)):
            factor = diagonal[U(abs((i + 0.5) * step - position) * DISTANCE_BINS)]
            for chain in range(U(len(lexical))):
                lexical[chain, j, i] *= factor


@kernel
def fertility_ratio(
    fertile: npt.NDArray[np.float32], prior: npt.NDArray[np.float64], strength: float, chain: int, source: int, fertility: int
) -> float:
    """Return φ(e, k + 1) / φ(e, k) of source word e = `source` and k = `fertility`."""
    c, e, k = U(chain), U(source), min(U(fertility), U(FERTILITIES - 2))
    more = max(fertile[e, c, k + U(1)], np.float32(0)) + strength * prior[c, k + U(1)]
    ratio: float = more / (max(fertile[e, c, k], np.float32(0)) + strength * prior[c, k])
    return ratio


@kernel
def ordered_sum(weights: npt.NDArray[np.float32], columns: int) -> np.float32:
    """Return the sum of the first `columns` weights, in an order that is the same on every machine: four partial sums, which do not wait for each other."""
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
