"""Gibbs sampling of word alignments: a visit to a sentence draws, for every target word, the source word that it is linked to.

The model is that of Östling and Tiedemann, "Efficient word alignment with Markov Chain Monte Carlo" (PBML 106, 2016): target word j
is linked to source word a_j or to nothing. Given all other links, and with c the counts over all other sentences,

    P(a_j = i) ∝ (c(e_i, f_j) + α) / (c(e_i) + α W) · J(i - a_p) / Z(a_p) · J(a_n - i) / Z(i) · φ(e_i, k_i + 1) / φ(e_i, k_i)

where W is the number of distinct target words, a_p and a_n are the links of the nearest linked words before and after j, J is the share of
jumps of that width (a hidden Markov model: Vogel, Ney and Tillmann 1996), Z(a) the sum of J over the positions of the sentence
that a jump from a can reach, k_i the other links of source word i, and φ(e, k) = (c(e, k) + β P(k)) / (c(e) + β) its fertility. The
link to nothing has P ∝ ν (c_0(f_j) + α) / (c_0 + α W) · J(a_n - a_p) / Z(a_p), the others share 1 - ν. In the first sweeps J/Z is replaced by exp(-λ |i/I - j/J|), the diagonal of Dyer, Chahuneau and Smith (NAACL 2013), and fertility is left out.

A sentence's own counts are subtracted before its visit and added after it: within a visit its words do not see each other's links.

C chains are sampled together. They are independent, and share the lookup of the counts of each word pair.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.counts import FERTILITIES, Counts, add_link, remove_link
from mlctl.alignment.eflomal.numba_jit import S, U, kernel
from mlctl.alignment.eflomal.sentence_buffer import (
    Corpus,
    SentenceBuffer,
    SharedParameters,
    allocate_buffer,
    apply_diagonal,
    fertility_ratio,
    load_counts,
    ordered_sum,
    reset,
    subtract_own_links,
    to_probabilities,
)
from mlctl.core.random import GOLDEN, MULTIPLIER_1, MULTIPLIER_2, splitmix64

ALPHA = 0.001  # α
DIAGONAL_TENSION = 4.0  # λ
MAX_JUMP = 100  # words: wider jumps are counted with this width

NULL_LINK = np.int16(-1)

finalise = kernel(splitmix64)


@kernel
def initial_random_state(seed: int, sweep: int, sentence: int) -> np.uint64:
    """Return the initial state of the random numbers of one visit: SplitMix64 of seed, sweep and sentence."""
    z = np.uint64(seed) * GOLDEN + np.uint64(sweep) * MULTIPLIER_1 + np.uint64(sentence + 1) * MULTIPLIER_2
    return finalise(z) | np.uint64(1)


@kernel
def prepare_visit(
    counts: Counts,
    parameters: SharedParameters,
    chain: int,
    source: npt.NDArray[np.int32],
    links: npt.NDArray[np.int16],
    stage: int,
    buffer: SentenceBuffer,
) -> None:
    """Fill the buffers that depend on the sentence's links in a chain (J,), -1: nothing."""
    columns, rows = U(len(source)), U(len(links))
    fertilities, next_links, inverse_norms, factors = buffer.fertilities, buffer.next_links, buffer.inverse_norms, buffer.factors
    jump_sums, fertile, prior = parameters.jump_sums, counts.fertile, parameters.fertility_prior
    middle = U(parameters.jumps.shape[1] // 2)
    _count_fertilities(links, len(source), fertilities)
    last = NULL_LINK
    for step in range(rows):
        j = rows - U(1) - step
        next_links[j] = last
        if links[j] >= 0:
            last = links[j]
    if stage > 0:
        for i in range(columns + U(1)):
            inverse_norms[i] = 1.0 / (jump_sums[chain, middle + columns - i + U(1)] - jump_sums[chain, middle - i + U(1)])
    for i in range(columns):
        ratio = 1.0
        if stage > 1:
            ratio = fertility_ratio(fertile, prior, parameters.fertility_strength, chain, source[i], fertilities[i])
        factors[i] = ratio * inverse_norms[i + U(1)] if stage > 0 else ratio


@kernel
def _count_fertilities(links: npt.NDArray[np.int16], columns: int, fertilities: npt.NDArray[np.int32]) -> None:
    """Count the links of each source word."""
    for i in range(U(columns)):
        fertilities[i] = 0
    for j in range(U(len(links))):
        if links[j] >= 0:
            fertilities[U(links[j])] += 1


@kernel
def _weigh_by_words(weights: npt.NDArray[np.float32], lexical: npt.NDArray[np.float32], c: int, j: int, columns: int) -> None:
    """Fill the weights of the source words for target word j: t, which includes the diagonal factor."""
    for i in range(U(columns)):
        weights[i] = lexical[c, j, i]


@kernel
def _weigh_by_jumps(
    weights: npt.NDArray[np.float32],
    lexical: npt.NDArray[np.float32],
    c: int,
    j: int,
    columns: int,
    jumps: npt.NDArray[np.float32],
    first: int,
    reversed_jumps: npt.NDArray[np.float32],
    last: int,
    factors: npt.NDArray[np.float32],
) -> None:
    """Fill the weights of the source words for target word j: t, the jump to each (from `jumps[c, first]` on), the jump from it to the next link (`reversed_jumps[c, last]` on) and `factors`."""
    for i in range(U(columns)):
        weights[i] = lexical[c, j, i] * jumps[c, first + i] * (reversed_jumps[c, last + i] * factors[i])


@kernel
def _weigh_by_last_jump(
    weights: npt.NDArray[np.float32],
    lexical: npt.NDArray[np.float32],
    c: int,
    j: int,
    columns: int,
    jumps: npt.NDArray[np.float32],
    first: int,
    factors: npt.NDArray[np.float32],
    inverse_norms: npt.NDArray[np.float32],
) -> None:
    """Fill the weights of the source words for target word j when no later word is linked."""
    for i in range(U(columns)):
        weights[i] = lexical[c, j, i] * jumps[c, first + i] * (factors[i] / inverse_norms[i + U(1)])


@kernel
def _pick(weights: npt.NDArray[np.float32], columns: int, left: np.float32) -> int:
    """Return the index at which the running sum of the weights exceeds `left`, which is less than their sum."""
    for i in range(U(columns - 1)):
        left -= weights[i]
        if left < 0:
            return S(i)
    return S(columns) - S(1)


@kernel
def _next_random(state: np.uint64) -> np.uint64:
    """Return the next random number (xorshift)."""
    state ^= state >> np.uint64(12)
    state ^= state << np.uint64(25)
    state ^= state >> np.uint64(27)
    return state


@kernel
def _draw(weights: npt.NDArray[np.float32], columns: int, total: np.float32, null: np.float32, state: np.uint64) -> int:
    """Draw a source word by weight, or -1 by the weight `null`; `total` is the sum of the source words' weights."""
    left = np.float32((state >> np.uint64(40)) / 16777216.0) * (total + null)
    return _pick(weights, columns, left) if left < total else S(-1)


@kernel
def sample_sentence(
    counts: Counts,
    parameters: SharedParameters,
    chain: int,
    source: npt.NDArray[np.int32],
    links: npt.NDArray[np.int16],
    stage: int,
    state: np.uint64,
    buffer: SentenceBuffer,
    best_of_two: bool,
) -> np.uint64:
    """Draw all links of a sentence in a chain, in the order of the words, and return the state of the random numbers.

    `best_of_two`: each word takes the more probable of two draws.
    """
    columns, rows, c, middle, previous = len(source), len(links), U(chain), parameters.jumps.shape[1] // 2, -1
    weights, lexical, factors, inverse_norms = buffer.weights, buffer.lexical, buffer.factors, buffer.inverse_norms
    fertilities, next_links, jumps, reversed_jumps = (
        buffer.fertilities,
        buffer.next_links,
        parameters.jumps,
        parameters.reversed_jumps,
    )
    fertile, prior, strength = counts.fertile, parameters.fertility_prior, parameters.fertility_strength
    for j in range(U(rows)):
        old, null, next_link = links[j], buffer.nulls[c, j], next_links[j]
        if old >= 0:
            i = U(old)
            fertilities[i] -= 1
            if stage > 1:
                ratio = fertility_ratio(fertile, prior, strength, chain, source[i], fertilities[i])
                factors[i] = ratio * inverse_norms[i + U(1)]
        # The common factor 1 / Z(a_p) of all weights is left out.
        if stage == 0:
            _weigh_by_words(weights, lexical, c, j, columns)
        elif next_link < 0:
            _weigh_by_last_jump(weights, lexical, c, j, columns, jumps, U(middle - previous), factors, inverse_norms)
            null /= inverse_norms[U(previous + 1)]
        else:
            _weigh_by_jumps(
                weights, lexical, c, j, columns, jumps, U(middle - previous), reversed_jumps, U(middle - next_link), factors
            )
            null *= jumps[c, U(middle + next_link - previous)]
        total = ordered_sum(weights, columns)
        state = _next_random(state)
        new = _draw(weights, columns, total, null, state)
        if best_of_two:
            state = _next_random(state)
            other = _draw(weights, columns, total, null, state)
            if (weights[U(other)] if other >= 0 else null) > (weights[U(new)] if new >= 0 else null):
                new = other
        links[j] = new
        if new >= 0:
            i, previous = U(new), new
            fertilities[i] += 1
            if stage > 1:
                ratio = fertility_ratio(fertile, prior, strength, chain, source[i], fertilities[i])
                factors[i] = ratio * inverse_norms[i + U(1)]
    return state


@kernel
def update_word_counts(
    counts: Counts,
    chain: int,
    source: npt.NDArray[np.int32],
    target: npt.NDArray[np.int32],
    links: npt.NDArray[np.int16],
    weight: int,
    buffer: SentenceBuffer,
) -> None:
    """Add (`weight` 1) or subtract (-1) a sentence's links in a chain to or from the counts of single words."""
    c, fertilities, totals, nulls, fertile = U(chain), buffer.fertilities, counts.totals, counts.nulls, counts.fertile
    for j in range(U(len(links))):
        if links[j] >= 0:
            totals[U(source[U(links[j])]), c] += weight
        else:
            nulls[U(target[j]), c] += weight
            counts.null_total[c] += weight
    _count_fertilities(links, len(source), fertilities)
    for i in range(U(len(source))):
        fertile[U(source[i]), c, min(U(fertilities[i]), U(FERTILITIES - 1))] += weight


@kernel
def update_link_counts(
    counts: Counts,
    chain: int,
    source: npt.NDArray[np.int32],
    target: npt.NDArray[np.int32],
    old: npt.NDArray[np.int16],
    new: npt.NDArray[np.int16],
) -> None:
    """Update the counts of word pairs where a sentence's links in a chain changed, which most do not. The arena must have room."""
    for j in range(U(len(new))):
        if old[j] != new[j]:
            if old[j] >= 0:
                remove_link(counts, chain, source[U(old[j])], target[j])
            if new[j] >= 0:
                add_link(counts, chain, source[U(new[j])], target[j], 1.0)


@kernel
def sweep(
    counts: Counts,
    parameters: SharedParameters,
    corpus: Corpus,
    links: npt.NDArray[np.int16],
    stage: int,
    first: int,
    first_sweep: bool,
    seeds: npt.NDArray[np.int64],
    number: int,
    best_of_two: bool,
) -> int:
    """Sample the sentences from `first` on, each given the current links of all others.

    Args:
        counts: updated in place.
        parameters: as of the start of the sweep.
        corpus: all sentences.
        links: of all target tokens (C, target tokens), updated in place.
        stage: 0: lexical probabilities and the diagonal; 1: lexical probabilities and jumps; 2: fertilities too.
        first: the first sentence.
        first_sweep: the sentences have no links yet.
        seeds: of the chains (C,).
        number: of the sweep, for the random numbers.
        best_of_two: see `sample_sentence`.

    Returns:
        The index after the last sampled sentence; less than the number of sentences if the arena is full.
    """
    sentences = len(corpus.source_offsets) - 1
    buffer = allocate_buffer(corpus, first, sentences, counts)
    for s in range(first, sentences):
        source = corpus.source[corpus.source_offsets[s] : corpus.source_offsets[s + 1]]
        target = corpus.target[corpus.target_offsets[s] : corpus.target_offsets[s + 1]]
        sentence_links = links[:, corpus.target_offsets[s] : corpus.target_offsets[s + 1]]
        if not _has_room(counts, source, len(target)):
            return s
        load_counts(counts, source, target, buffer)
        for chain in range(len(seeds)):
            if first_sweep:
                sentence_links[chain] = NULL_LINK
            else:
                subtract_own_links(chain, source, target, sentence_links[chain], buffer)
                update_word_counts(counts, chain, source, target, sentence_links[chain], -1, buffer)
        reset(source, target, buffer)
        to_probabilities(counts, parameters, source, target, buffer)
        if stage == 0:
            apply_diagonal(parameters.diagonal, len(target), len(source), buffer.lexical)
        for chain in range(len(seeds)):
            buffer.old_links[: len(target)] = sentence_links[chain]
            prepare_visit(counts, parameters, chain, source, sentence_links[chain], stage, buffer)
            sample_sentence(
                counts,
                parameters,
                chain,
                source,
                sentence_links[chain],
                stage,
                initial_random_state(seeds[chain], number, s),
                buffer,
                best_of_two,
            )
            update_word_counts(counts, chain, source, target, sentence_links[chain], 1, buffer)
            update_link_counts(counts, chain, source, target, buffer.old_links, sentence_links[chain])
    return sentences


@kernel
def _has_room(counts: Counts, source: npt.NDArray[np.int32], targets: int) -> bool:
    """Return whether the arena has room for any links of a sentence with that many target words."""
    links = targets * len(counts.null_total)
    free = len(counts.keys) - counts.arena_ends[0] - 8 * links - 64
    for i in range(len(source)):
        if 4 * (counts.used[source[i]] + links) > 3 * (counts.mask[source[i]] + 1) and source[i] not in source[:i]:
            free -= 2 * counts.mask[source[i]] + 16
    enough: bool = free >= 0
    return enough


@kernel
def count_jumps(corpus: Corpus, links: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Return the counts of jumps by width, from -MAX_JUMP to MAX_JUMP; the first jump of a sentence is from before its first word."""
    jumps = np.zeros(2 * MAX_JUMP + 1, np.float64)
    for s in range(len(corpus.target_offsets) - 1):
        previous = -1
        for j in range(corpus.target_offsets[s], corpus.target_offsets[s + 1]):
            if links[j] >= 0:
                jumps[min(max(links[j] - previous, -MAX_JUMP), MAX_JUMP) + MAX_JUMP] += 1
                previous = links[j]
    return jumps
