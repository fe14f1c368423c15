"""The marginals of all links of a sentence given fixed counts, by the forward-backward algorithm instead of sampling.

In the model of `mlctl.alignment.eflomal.sampling`, with t(f | e) the probability of word f given e and J/Z that of a jump, the state is
the last source word that was linked: a hidden Markov model in which a word that is linked to nothing keeps the state (Vogel, Ney and
Tillmann 1996; Rabiner 1989, equations 19 to 27, scaled). It gives P(a_j = i) exactly, except for fertility: φ of a source word depends
on all its links. So a first pass leaves φ out, a second pass uses φ at the number of links that the first one expects of the other
words (mean field), and the result is the mean of both: about the average of very many samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.counts import FERTILITIES, Counts
from mlctl.alignment.eflomal.numba_jit import U, kernel
from mlctl.alignment.eflomal.sentence_buffer import (
    Corpus,
    SentenceBuffer,
    SharedParameters,
    allocate_buffer,
    fertility_ratio,
    load_probabilities,
    ordered_sum,
)

_MIN_PROBABILITY = np.float32(1e-5)  # less probable states are pruned


class ForwardBackwardBuffer(NamedTuple):
    """Buffers for one sentence of I source and J target words in one chain; state 0 is before the first linked word, i + 1 word i."""

    inverse_norms: npt.NDArray[np.float32]  # (I + 1,) 1 / Z(a) of each state
    emissions: npt.NDArray[np.float32]  # (J, I) t, with fertility
    forward: npt.NDArray[np.float32]  # (J + 1, I + 1) probability of each state before each word, given the words before it
    reached: npt.NDArray[np.float32]  # (J, I) the part of it that jumps to each source word
    backward: npt.NDArray[np.float32]  # (1, I + 1) scaled probability of the words after it, given each state
    incoming: npt.NDArray[np.float32]  # (1, I + 1) of each state: the sum over the words that are jumped to
    linked: npt.NDArray[np.float32]  # (1, I) of each source word: t times `backward`
    stay_weights: npt.NDArray[np.float32]  # (I + 1,) weight of each state if a word is linked to nothing
    jump_weights: npt.NDArray[np.float32]  # (I,) and of each source word that it may be linked to
    posterior: npt.NDArray[np.float32]  # (J, I) P(a_j = i)
    ratios: npt.NDArray[np.float32]  # (FERTILITIES - 1,) φ(k + 1) / φ(k) of one source word
    offsets: npt.NDArray[np.int64]  # (I + 1,) where the jumps of the states or words that are not pruned begin in the jump table
    weights: npt.NDArray[np.float32]  # (1, I + 1) and their weights


@kernel
def _allocate_work(buffer: SentenceBuffer) -> ForwardBackwardBuffer:
    rows, columns = buffer.lexical.shape[1], buffer.lexical.shape[2]
    return ForwardBackwardBuffer(
        np.empty(columns + 1, np.float32),
        np.empty((rows, columns), np.float32),
        np.empty((rows + 1, columns + 1), np.float32),
        np.empty((rows, columns), np.float32),
        np.empty((1, columns + 1), np.float32),
        np.empty((1, columns + 1), np.float32),
        np.empty((1, columns), np.float32),
        np.empty(columns + 1, np.float32),
        np.empty(columns, np.float32),
        np.empty((rows, columns), np.float32),
        np.empty(FERTILITIES - 1, np.float32),
        np.empty(columns + 1, np.int64),
        np.empty((1, columns + 1), np.float32),
    )


@kernel
def _normalise_jumps(parameters: SharedParameters, chain: int, columns: int, inverse_norms: npt.NDArray[np.float32]) -> None:
    """Fill `inverse_norms`: 1 / Z(a) of each state."""
    jump_sums, middle, c = parameters.jump_sums, U(parameters.jumps.shape[1] // 2), U(chain)
    for state in range(U(columns + 1)):
        first = middle + U(1) - state
        inverse_norms[state] = np.float32(1.0 / (jump_sums[c, first + U(columns)] - jump_sums[c, first]))


@kernel
def _add_weighted_rows(
    output: npt.NDArray[np.float32],
    j: int,
    table: npt.NDArray[np.float32],
    chain: int,
    offsets: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
    rows: int,
    columns: int,
) -> None:
    """Add to `output[j]` the rows of `table[chain]` from each of the first `rows` offsets on, times their weights: four at a time, because a pass
    over `output` costs as much as a row.
    """
    c, top, whole = U(chain), U(0), U(rows) - U(rows) % U(4)
    for row in range(U(0), whole, U(4)):
        a, b, d, e = U(offsets[row]), U(offsets[row + U(1)]), U(offsets[row + U(2)]), U(offsets[row + U(3)])
        one, two = weights[top, row], weights[top, row + U(1)]
        three, four = weights[top, row + U(2)], weights[top, row + U(3)]
        for i in range(U(columns)):
            first = one * table[c, a + i] + two * table[c, b + i]
            output[j, i] += first + (three * table[c, d + i] + four * table[c, e + i])
    for row in range(whole, U(rows)):
        a, one = U(offsets[row]), weights[top, row]
        for i in range(U(columns)):
            output[j, i] += one * table[c, a + i]


@kernel
def _forward(
    nulls: npt.NDArray[np.float32],
    chain: int,
    jumps: npt.NDArray[np.float32],
    rows: int,
    columns: int,
    work: ForwardBackwardBuffer,
) -> None:
    """Fill `work.forward` and `work.reached`."""
    forward, reached, emissions, inverse_norms = work.forward, work.reached, work.emissions, work.inverse_norms
    offsets, weights, states, top = work.offsets, work.weights, U(columns + 1), U(0)
    middle = U(jumps.shape[1] // 2)
    for state in range(states):
        forward[0, state] = 0
    forward[0, 0] = 1
    for j in range(U(rows)):
        after, stay, count = j + U(1), nulls[U(chain), j], U(0)
        for state in range(states):
            offsets[count] = middle + U(1) - state
            weights[top, count] = forward[j, state] * inverse_norms[state]
            count += U(forward[j, state] > 0)
        for i in range(U(columns)):
            reached[j, i] = 0
        _add_weighted_rows(reached, j, jumps, chain, offsets, weights, count, columns)
        forward[after, 0] = forward[j, 0] * stay
        for i in range(U(columns)):
            forward[after, i + U(1)] = forward[j, i + U(1)] * stay + reached[j, i] * emissions[j, i]
        scale = np.float32(1) / ordered_sum(forward[after], columns + 1)
        for state in range(states):
            probability = forward[after, state] * scale
            forward[after, state] = probability if probability > _MIN_PROBABILITY else np.float32(0)


@kernel
def _backward(
    nulls: npt.NDArray[np.float32],
    chain: int,
    reversed_jumps: npt.NDArray[np.float32],
    weight: np.float32,
    rows: int,
    columns: int,
    work: ForwardBackwardBuffer,
) -> None:
    """Mix P(a_j = i) into `work.posterior` with a weight, after `_forward`."""
    backward, linked, stay_weights, jump_weights, inverse_norms = (
        work.backward,
        work.linked,
        work.stay_weights,
        work.jump_weights,
        work.inverse_norms,
    )
    forward, reached, emissions, posterior, top = work.forward, work.reached, work.emissions, work.posterior, U(0)
    offsets, weights, incoming = work.offsets, work.weights, work.incoming
    states, other_weight = U(columns + 1), np.float32(1) - weight
    middle = U(reversed_jumps.shape[1] // 2)
    for state in range(states):
        backward[top, state] = 1
    for step in range(U(rows)):
        j = U(rows - 1) - step
        stay = nulls[U(chain), j]
        for i in range(U(columns)):
            linked[top, i] = emissions[j, i] * backward[top, i + U(1)]
            jump_weights[i] = reached[j, i] * linked[top, i]
        for state in range(states):
            backward[top, state] *= stay
            stay_weights[state] = forward[j, state] * backward[top, state]
        scale = np.float32(1) / (ordered_sum(stay_weights, columns + 1) + ordered_sum(jump_weights, columns))
        for i in range(U(columns)):
            posterior[j, i] = other_weight * posterior[j, i] + weight * scale * jump_weights[i]
        count = U(0)
        for i in range(U(columns)):
            offsets[count] = middle - U(1) - i
            weights[top, count] = linked[top, i]
            count += U(jump_weights[i] * scale > _MIN_PROBABILITY)
        for state in range(states):
            incoming[top, state] = 0
        _add_weighted_rows(incoming, top, reversed_jumps, chain, offsets, weights, count, columns + 1)
        for state in range(states):
            backward[top, state] = (backward[top, state] + inverse_norms[state] * incoming[top, state]) * scale


@kernel
def _apply_fertility(
    counts: Counts,
    parameters: SharedParameters,
    chain: int,
    source: npt.NDArray[np.int32],
    lexical: npt.NDArray[np.float32],
    rows: int,
    work: ForwardBackwardBuffer,
) -> None:
    """Multiply `work.emissions` by fertility, at the expected number of links of each source word with the other target words."""
    ratios, posterior, emissions, fertile, prior = (
        work.ratios,
        work.posterior,
        work.emissions,
        counts.fertile,
        parameters.fertility_prior,
    )
    for i in range(U(len(source))):
        expected = np.float32(0)
        for j in range(U(rows)):
            expected += posterior[j, i]
        for k in range(U(FERTILITIES - 1)):
            ratios[k] = fertility_ratio(fertile, prior, parameters.fertility_strength, chain, source[i], k)
        for j in range(U(rows)):
            others = max(expected - posterior[j, i], np.float32(0))
            k = min(U(others), U(FERTILITIES - 3))
            fraction = min(others - np.float32(k), np.float32(1))
            emissions[j, i] = lexical[U(chain), j, i] * ((1 - fraction) * ratios[k] + fraction * ratios[k + U(1)])


@kernel
def _infer(
    counts: Counts,
    parameters: SharedParameters,
    chain: int,
    source: npt.NDArray[np.int32],
    rows: int,
    buffer: SentenceBuffer,
    work: ForwardBackwardBuffer,
) -> None:
    """Fill `work.posterior` of a sentence in a chain."""
    columns, lexical, emissions, posterior = len(source), buffer.lexical, work.emissions, work.posterior
    _normalise_jumps(parameters, chain, columns, work.inverse_norms)
    for j in range(U(rows)):
        for i in range(U(columns)):
            emissions[j, i] = lexical[U(chain), j, i]
            posterior[j, i] = 0
    _forward_backward(buffer.nulls, parameters, chain, np.float32(1), rows, columns, work)
    _apply_fertility(counts, parameters, chain, source, lexical, rows, work)
    _forward_backward(buffer.nulls, parameters, chain, np.float32(0.5), rows, columns, work)


@kernel
def _forward_backward(
    nulls: npt.NDArray[np.float32],
    parameters: SharedParameters,
    chain: int,
    weight: np.float32,
    rows: int,
    columns: int,
    work: ForwardBackwardBuffer,
) -> None:
    """Mix P(a_j = i) given `work.emissions` into `work.posterior`, with a weight."""
    _forward(nulls, chain, parameters.jumps, rows, columns, work)
    _backward(nulls, chain, parameters.reversed_jumps, weight, rows, columns, work)


@kernel
def posteriors(
    counts: Counts, parameters: SharedParameters, corpus: Corpus, cell_offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return P(a_j = i) in each chain (C, cells): of sentence s the slice (J, I) from `cell_offsets[s]` on."""
    sentences, chains = len(corpus.source_offsets) - 1, len(counts.null_total)
    buffer = allocate_buffer(corpus, 0, sentences, counts)
    work = _allocate_work(buffer)
    posterior = np.empty((chains, cell_offsets[-1]), np.float32)
    for s in range(sentences):
        source = corpus.source[corpus.source_offsets[s] : corpus.source_offsets[s + 1]]
        target = corpus.target[corpus.target_offsets[s] : corpus.target_offsets[s + 1]]
        rows, columns = len(target), len(source)
        load_probabilities(counts, parameters, source, target, buffer)
        for chain in range(chains):
            _infer(counts, parameters, chain, source, rows, buffer, work)
            for j in range(rows):
                first = cell_offsets[s] + j * columns
                posterior[chain, first : first + columns] = work.posterior[j, :columns]
    return posterior
