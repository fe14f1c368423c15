"""Gibbs sampling of word alignments: one visit to a sentence draws, for every target word, which source word it translates.

The model is that of Östling and Tiedemann, "Efficient word alignment with Markov Chain Monte Carlo" (PBML 106, 2016): target word j
is linked to source word a_j or to nothing. Given all other links, and with c the counts over all other sentences,

    P(a_j = i) ∝ (c(e_i, f_j) + α) / (c(e_i) + α W) · J(i - a_p) / Z(a_p) · J(a_n - i) / Z(i) · φ(e_i, k_i + 1) / φ(e_i, k_i)

where W is the number of target words, a_p and a_n are the links of the nearest linked words before and after j, J is the share of
jumps of that width (a hidden Markov model: Vogel, Ney and Tillmann 1996), Z(a) the sum of J over the positions of the sentence
that a jump from a can jump_sums, k_i the other links of source word i, and φ(e, k) = (c(e, k) + β P(k)) / (c(e) + β) its fertility. The
link to nothing has P ∝ ν (c_0(f_j) + α) / (c_0 + α W) · J(a_n - a_p) / Z(a_p), the others share 1 - ν. The first sweeps have, for
J/Z, exp(-λ |i/I - j/J|), the diagonal of Dyer, Chahuneau and Smith (NAACL 2013), and no fertility.

A sentence's own counts are taken away before its visit and added after it: within a visit its words do not see one another's.

Several chains, C, are sampled side by side. None knows of another; they share the search for the counts of each pair of words.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.counts import FERTILITIES, Counts, add_link, remove_link
from mlctl.alignment.eflomal.numba_kernels import S, U, kernel
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
MAX_JUMP = 100  # words: a wider jump counts as one of this width

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
    """Fill the desk's other parts, given the sentence's links in a chain (J,), -1: nothing."""
    columns, rows = U(len(source)), U(len(links))
    fertilities, next_links, inverse_norms, factors = buffer.fertilities, buffer.next_links, buffer.inverse_norms, buffer.factors
    jump_sums, fertile, fertility_prior = parameters.jump_sums, counts.fertile, parameters.fertility_prior
    middle = U(parameters.jumps.shape[1] // 2)
    _count_fertilities(links, len(source), fertilities)
    last = NULL_LINK
    for left in range(rows):
        j = rows - U(1) - left
        next_links[j] = last
        if links[j] >= 0:
            last = links[j]
    if stage > 0:
        for i in range(columns + U(1)):
            inverse_norms[i] = 1.0 / (jump_sums[chain, middle + columns - i + U(1)] - jump_sums[chain, middle - i + U(1)])
    for i in range(columns):
        more = (
            fertility_ratio(fertile, fertility_prior, parameters.fertility_strength, chain, source[i], fertilities[i])
            if stage > 1
            else 1.0
        )
        factors[i] = more * inverse_norms[i + U(1)] if stage > 0 else more


@kernel
def _count_fertilities(links: npt.NDArray[np.int16], columns: int, fertilities: npt.NDArray[np.int32]) -> None:
    """Fill the number of links of each source word."""
    for i in range(U(columns)):
        fertilities[i] = 0
    for j in range(U(len(links))):
        if links[j] >= 0:
            fertilities[U(links[j])] += 1


@kernel
def _weigh_by_words(weights: npt.NDArray[np.float32], lexical: npt.NDArray[np.float32], c: int, j: int, columns: int) -> None:
    """Fill the weights of the source words for target word j: t, which has the diagonal in it."""
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
    """Fill the weights of the source words for target word j: t, the jump to each (from `jumps[c, first]` on), that from it to the next link (`reversed_jumps[c, last]` on) and `grow`."""
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
    """The same where no link follows."""
    for i in range(U(columns)):
        weights[i] = lexical[c, j, i] * jumps[c, first + i] * (factors[i] / inverse_norms[i + U(1)])


@kernel
def _pick(weights: npt.NDArray[np.float32], columns: int, left: np.float32) -> int:
    """Return where the running sum of the weights passes `left`, which is below their sum."""
    for i in range(U(columns - 1)):
        left -= weights[i]
        if left < 0:
            return S(i)
    return S(columns) - S(1)


@kernel
def _next_random(state: np.uint64) -> np.uint64:
    """Return the random number after this one (xorshift)."""
    state ^= state >> np.uint64(12)
    state ^= state << np.uint64(25)
    state ^= state >> np.uint64(27)
    return state


@kernel
def _draw(weights: npt.NDArray[np.float32], columns: int, some: np.float32, nothing: np.float32, state: np.uint64) -> int:
    """Draw a source word by weight (their sum is `some`), or -1, which has the weight `nothing`."""
    left = np.float32((state >> np.uint64(40)) / 16777216.0) * (some + nothing)
    return _pick(weights, columns, left) if left < some else S(-1)


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
    sharp: bool,
) -> np.uint64:
    """Draw all links of a sentence in a chain in turn and return the state of the random numbers.

    `sharp`: each word takes the likelier of two draws.
    """
    columns, rows, c, middle, previous = len(source), len(links), U(chain), parameters.jumps.shape[1] // 2, -1
    weights, lexical, factors, inverse_norms, fertilities, next_links = (
        buffer.weights,
        buffer.lexical,
        buffer.factors,
        buffer.inverse_norms,
        buffer.fertilities,
        buffer.next_links,
    )
    jumps, reversed_jumps, fertile, fertility_prior, fertility_strength = (
        parameters.jumps,
        parameters.reversed_jumps,
        counts.fertile,
        parameters.fertility_prior,
        parameters.fertility_strength,
    )
    for j in range(U(rows)):
        old, nothing, following = links[j], buffer.nulls[c, j], next_links[j]
        if old >= 0:
            i = U(old)
            fertilities[i] -= 1
            if stage > 1:
                factors[i] = (
                    fertility_ratio(fertile, fertility_prior, fertility_strength, chain, source[i], fertilities[i])
                    * inverse_norms[i + U(1)]
                )
        # All weights lack the factor 1 / Z(a_p).
        if stage == 0:
            _weigh_by_words(weights, lexical, c, j, columns)
        elif following < 0:
            _weigh_by_last_jump(weights, lexical, c, j, columns, jumps, U(middle - previous), factors, inverse_norms)
            nothing /= inverse_norms[U(previous + 1)]
        else:
            _weigh_by_jumps(
                weights, lexical, c, j, columns, jumps, U(middle - previous), reversed_jumps, U(middle - following), factors
            )
            nothing *= jumps[c, U(middle + following - previous)]
        some = ordered_sum(weights, columns)
        state = _next_random(state)
        new = _draw(weights, columns, some, nothing, state)
        if sharp:
            state = _next_random(state)
            other = _draw(weights, columns, some, nothing, state)
            if (weights[U(other)] if other >= 0 else nothing) > (weights[U(new)] if new >= 0 else nothing):
                new = other
        links[j] = new
        if new >= 0:
            i, previous = U(new), new
            fertilities[i] += 1
            if stage > 1:
                factors[i] = (
                    fertility_ratio(fertile, fertility_prior, fertility_strength, chain, source[i], fertilities[i])
                    * inverse_norms[i + U(1)]
                )
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
    """Count (`weight` 1) or take away (-1) what a sentence's links in a chain say of each word by itself."""
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
    """Count a sentence's links in a chain that are new, and take those away that are gone: most are neither. The arena has buffer."""
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
    sentences = len(corpus.source_offsets) - 1
    buffer = allocate_buffer(corpus, first, sentences, counts)
    for s in range(first, sentences):
        source = corpus.source[corpus.source_offsets[s] : corpus.source_offsets[s + 1]]
        target = corpus.target[corpus.target_offsets[s] : corpus.target_offsets[s + 1]]
        own = links[:, corpus.target_offsets[s] : corpus.target_offsets[s + 1]]
        if not _has_room(counts, source, len(target)):
            return s
        load_counts(counts, source, target, buffer)
        for chain in range(len(seeds)):
            if fresh:
                own[chain] = NULL_LINK
            else:
                subtract_own_links(chain, source, target, own[chain], buffer)
                update_word_counts(counts, chain, source, target, own[chain], -1, buffer)
        reset(source, target, buffer)
        to_probabilities(counts, parameters, source, target, buffer)
        if stage == 0:
            apply_diagonal(parameters.diagonal, len(target), len(source), buffer.lexical)
        for chain in range(len(seeds)):
            buffer.old_links[: len(target)] = own[chain]
            prepare_visit(counts, parameters, chain, source, own[chain], stage, buffer)
            sample_sentence(
                counts, parameters, chain, source, own[chain], stage, initial_random_state(seeds[chain], number, s), buffer, sharp
            )
            update_word_counts(counts, chain, source, target, own[chain], 1, buffer)
            update_link_counts(counts, chain, source, target, buffer.old_links, own[chain])
    return sentences


@kernel
def _has_room(counts: Counts, source: npt.NDArray[np.int32], targets: int) -> bool:
    """Tell whether the arena has buffer for the links of a sentence of that many target words, whatever they are."""
    links = targets * len(counts.null_total)
    free = len(counts.keys) - counts.arena_ends[0] - 8 * links - 64
    for i in range(len(source)):
        if 4 * (counts.used[source[i]] + links) > 3 * (counts.mask[source[i]] + 1) and source[i] not in source[:i]:
            free -= 2 * counts.mask[source[i]] + 16
    enough: bool = free >= 0
    return enough


@kernel
def count_jumps(corpus: Corpus, links: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Count the jumps between linked words by width, from -MAX_JUMP to MAX_JUMP; the first is from before the first word."""
    found = np.zeros(2 * MAX_JUMP + 1, np.float64)
    for s in range(len(corpus.target_offsets) - 1):
        previous = -1
        for j in range(corpus.target_offsets[s], corpus.target_offsets[s + 1]):
            if links[j] >= 0:
                found[min(max(links[j] - previous, -MAX_JUMP), MAX_JUMP) + MAX_JUMP] += 1
                previous = links[j]
    return found
