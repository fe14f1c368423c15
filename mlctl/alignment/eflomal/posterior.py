"""The probabilities of all links of a sentence at once, given counts that no longer change: forward-backward instead of samples.

Of the model in `mlctl.alignment.eflomal.sampling`, with t(f | e) the probability of word f from e and J/Z that of a jump, the state is the last
source word that was linked, a hidden Markov model in which a word that is linked to nothing keeps the state (Vogel, Ney and Tillmann
1996; Rabiner 1989, equations 19 to 27, scaled). It gives P(a_j = i) exactly, but for fertility: φ of a source word depends on all its
links. So a first pass leaves φ out, a second one takes it at the number of links that the first expects of the other words (mean
field), and the result is the mean of both: about what very many samples say on average.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal.counts import FERTILITIES, Counts
from mlctl.alignment.eflomal.numba_kernels import U, kernel
from mlctl.alignment.eflomal.sentence_buffer import (
    Corpus,
    SentenceBuffer,
    SharedParameters,
    allocate_buffer,
    fertility_ratio,
    load_probabilities,
    ordered_sum,
)

_LEAST = np.float32(1e-5)  # probability of a state that is worth going on from


class ForwardBackwardBuffer(NamedTuple):
    """Room for one sentence of I source and J target words in one chain; state 0 is before the first linked word, i + 1 word i."""

    share: npt.NDArray[np.float32]  # (I + 1,) of each state: 1 / Z(a)
    words: npt.NDArray[np.float32]  # (J, I) t, with fertility
    before: npt.NDArray[np.float32]  # (J + 1, I + 1) share of each state before each word, given the words before it
    reached: npt.NDArray[np.float32]  # (J, I) share of it that jumps to each source word
    after: npt.NDArray[np.float32]  # (1, I + 1) of each state: the words after it, scaled
    come: npt.NDArray[np.float32]  # (1, I + 1) of each state: the sum over the words that are jumped to
    linked: npt.NDArray[np.float32]  # (1, I) of each source word: t and the words after it, scaled
    stayed: npt.NDArray[np.float32]  # (I + 1,) weight of each state if a word is linked to nothing
    jumped: npt.NDArray[np.float32]  # (I,) and of each source word it may be linked to
    found: npt.NDArray[np.float32]  # (J, I) P(a_j = i)
    ratios: npt.NDArray[np.float32]  # (FERTILITIES - 1,) φ(k + 1) / φ(k) of one source word
    places: npt.NDArray[np.int64]  # (I + 1,) where the jumps of those states or words begin that are worth it
    weights: npt.NDArray[np.float32]  # (1, I + 1) and what they count


@kernel
def _bench(buffer: SentenceBuffer) -> ForwardBackwardBuffer:
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
def _shares(parameters: SharedParameters, chain: int, columns: int, share: npt.NDArray[np.float32]) -> None:
    """Fill `share`: of each state 1 / Z(a)."""
    reach, middle, c = parameters.jump_sums, U(parameters.jumps.shape[1] // 2), U(chain)
    for state in range(U(columns + 1)):
        first = middle + U(1) - state
        share[state] = np.float32(1.0 / (reach[c, first + U(columns)] - reach[c, first]))


@kernel
def _mix(
    to: npt.NDArray[np.float32],
    j: int,
    table: npt.NDArray[np.float32],
    chain: int,
    places: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32],
    rows: int,
    columns: int,
) -> None:
    """Add to `to[j]` what `table[chain]` has from each of the first `rows` places on, times its weight: four at a time, as each pass over `to` costs as much as a row."""
    c, top, whole = U(chain), U(0), U(rows) - U(rows) % U(4)
    for row in range(U(0), whole, U(4)):
        a, b, d, e = U(places[row]), U(places[row + U(1)]), U(places[row + U(2)]), U(places[row + U(3)])
        one, two = weights[top, row], weights[top, row + U(1)]
        three, four = weights[top, row + U(2)], weights[top, row + U(3)]
        for i in range(U(columns)):
            first = one * table[c, a + i] + two * table[c, b + i]
            to[j, i] += first + (three * table[c, d + i] + four * table[c, e + i])
    for row in range(whole, U(rows)):
        a, one = U(places[row]), weights[top, row]
        for i in range(U(columns)):
            to[j, i] += one * table[c, a + i]


@kernel
def _forward(
    nothing: npt.NDArray[np.float32],
    chain: int,
    jumps: npt.NDArray[np.float32],
    rows: int,
    columns: int,
    bench: ForwardBackwardBuffer,
) -> None:
    """Fill `bench.before` and `bench.reached`."""
    before, reached, words, share = bench.before, bench.reached, bench.words, bench.share
    places, weights, states, top = bench.places, bench.weights, U(columns + 1), U(0)
    middle = U(jumps.shape[1] // 2)
    for state in range(states):
        before[0, state] = 0
    before[0, 0] = 1
    for j in range(U(rows)):
        then, stays, kept = j + U(1), nothing[U(chain), j], U(0)
        for state in range(states):
            places[kept] = middle + U(1) - state
            weights[top, kept] = before[j, state] * share[state]
            kept += U(before[j, state] > 0)
        for i in range(U(columns)):
            reached[j, i] = 0
        _mix(reached, j, jumps, chain, places, weights, kept, columns)
        before[then, 0] = before[j, 0] * stays
        for i in range(U(columns)):
            before[then, i + U(1)] = before[j, i + U(1)] * stays + reached[j, i] * words[j, i]
        scale = np.float32(1) / ordered_sum(before[then], columns + 1)
        for state in range(states):
            here = before[then, state] * scale
            before[then, state] = here if here > _LEAST else np.float32(0)


@kernel
def _backward(
    nothing: npt.NDArray[np.float32],
    chain: int,
    back: npt.NDArray[np.float32],
    weight: np.float32,
    rows: int,
    columns: int,
    bench: ForwardBackwardBuffer,
) -> None:
    """Mix P(a_j = i) into `bench.found`, with a weight."""
    after, linked, stayed, jumped, share = bench.after, bench.linked, bench.stayed, bench.jumped, bench.share
    before, reached, words, found, top = bench.before, bench.reached, bench.words, bench.found, U(0)
    places, weights, come = bench.places, bench.weights, bench.come
    states, held = U(columns + 1), np.float32(1) - weight
    middle = U(back.shape[1] // 2)
    for state in range(states):
        after[top, state] = 1
    for left in range(U(rows)):
        j = U(rows - 1) - left
        stays = nothing[U(chain), j]
        for i in range(U(columns)):
            linked[top, i] = words[j, i] * after[top, i + U(1)]
            jumped[i] = reached[j, i] * linked[top, i]
        for state in range(states):
            after[top, state] *= stays
            stayed[state] = before[j, state] * after[top, state]
        scale = np.float32(1) / (ordered_sum(stayed, columns + 1) + ordered_sum(jumped, columns))
        for i in range(U(columns)):
            found[j, i] = held * found[j, i] + weight * scale * jumped[i]
        kept = U(0)
        for i in range(U(columns)):
            places[kept] = middle - U(1) - i
            weights[top, kept] = linked[top, i]
            kept += U(jumped[i] * scale > _LEAST)
        for state in range(states):
            come[top, state] = 0
        _mix(come, top, back, chain, places, weights, kept, columns + 1)
        for state in range(states):
            after[top, state] = (after[top, state] + share[state] * come[top, state]) * scale


@kernel
def _fertile(
    counts: Counts,
    parameters: SharedParameters,
    chain: int,
    source: npt.NDArray[np.int32],
    lexical: npt.NDArray[np.float32],
    rows: int,
    bench: ForwardBackwardBuffer,
) -> None:
    """Put fertility, at the number of links that each source word has with the other target words, into `bench.words`."""
    ratios, found, words, fertile, usual = bench.ratios, bench.found, bench.words, counts.fertile, parameters.fertility_prior
    for i in range(U(len(source))):
        expected = np.float32(0)
        for j in range(U(rows)):
            expected += found[j, i]
        for k in range(U(FERTILITIES - 1)):
            ratios[k] = fertility_ratio(fertile, usual, parameters.fertility_strength, chain, source[i], k)
        for j in range(U(rows)):
            others = max(expected - found[j, i], np.float32(0))
            k = min(U(others), U(FERTILITIES - 3))
            more = min(others - np.float32(k), np.float32(1))
            words[j, i] = lexical[U(chain), j, i] * ((1 - more) * ratios[k] + more * ratios[k + U(1)])


@kernel
def _infer(
    counts: Counts,
    parameters: SharedParameters,
    chain: int,
    source: npt.NDArray[np.int32],
    rows: int,
    buffer: SentenceBuffer,
    bench: ForwardBackwardBuffer,
) -> None:
    """Fill `bench.found` of a sentence in a chain."""
    columns, lexical, words, found = len(source), buffer.lexical, bench.words, bench.found
    _shares(parameters, chain, columns, bench.share)
    for j in range(U(rows)):
        for i in range(U(columns)):
            words[j, i] = lexical[U(chain), j, i]
            found[j, i] = 0
    _pass(buffer.nulls, parameters, chain, np.float32(1), rows, columns, bench)
    _fertile(counts, parameters, chain, source, lexical, rows, bench)
    _pass(buffer.nulls, parameters, chain, np.float32(0.5), rows, columns, bench)


@kernel
def _pass(
    nothing: npt.NDArray[np.float32],
    parameters: SharedParameters,
    chain: int,
    weight: np.float32,
    rows: int,
    columns: int,
    bench: ForwardBackwardBuffer,
) -> None:
    """Mix P(a_j = i) given `bench.words` into `bench.found`, with a weight."""
    _forward(nothing, chain, parameters.jumps, rows, columns, bench)
    _backward(nothing, chain, parameters.reversed_jumps, weight, rows, columns, bench)


@kernel
def posteriors(
    counts: Counts, parameters: SharedParameters, corpus: Corpus, places: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return P(a_j = i) in each chain: (C, places), of sentence s from `places[s]` on, (J, I)."""
    sentences, chains = len(corpus.source_offsets) - 1, len(counts.null_total)
    buffer = allocate_buffer(corpus, 0, sentences, counts)
    bench = _bench(buffer)
    found = np.empty((chains, places[-1]), np.float32)
    for s in range(sentences):
        source = corpus.source[corpus.source_offsets[s] : corpus.source_offsets[s + 1]]
        target = corpus.target[corpus.target_offsets[s] : corpus.target_offsets[s + 1]]
        rows, columns = len(target), len(source)
        load_probabilities(counts, parameters, source, target, buffer)
        for chain in range(chains):
            _infer(counts, parameters, chain, source, rows, buffer, bench)
            for j in range(rows):
                first = places[s] + j * columns
                found[chain, first : first + columns] = bench.found[j, :columns]
    return found
