"""The probabilities of all links of a sentence at once, given counts that no longer change: forward-backward instead of samples.

Of the model in `mlctl.alignment.sampling`, with t(f | e) the probability of word f from e and J/Z that of a jump, the state is the last
source word that was linked, a hidden Markov model in which a word that is linked to nothing keeps the state (Vogel, Ney and Tillmann
1996; Rabiner 1989, equations 19 to 27, scaled). It gives P(a_j = i) exactly, but for fertility: φ of a source word depends on all its
links. So a first pass leaves φ out, a second one takes it at the number of links that the first expects of the other words (mean
field), and the result is the mean of both: about what very many samples say on average.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.alignment.counts import FERTILITIES, Counts
from mlctl.alignment.desk import Desk, Shapes, Text, desk, fertility, look_up, summed
from mlctl.alignment.kernels import kernel

_LEAST = np.float32(1e-9)  # share of a state that is worth going on from


class Bench(NamedTuple):
    """Room for one sentence of I source and J target words in one chain; state 0 is before the first linked word, i + 1 word i."""

    jumps: npt.NDArray[np.float32]  # (I + 1, I) of state a and word i: J(i - a) / Z(a)
    back: npt.NDArray[np.float32]  # (I, I + 1) the same, turned
    words: npt.NDArray[np.float32]  # (J, I) t, with fertility
    before: npt.NDArray[np.float32]  # (J + 1, I + 1) share of each state before each word, given the words before it
    reached: npt.NDArray[np.float32]  # (J, I) share of it that jumps to each source word
    after: npt.NDArray[np.float32]  # (I + 1,) of each state: the words after it, scaled
    linked: npt.NDArray[np.float32]  # (I,) of each source word: t and the words after it, scaled
    stayed: npt.NDArray[np.float32]  # (I + 1,) weight of each state if a word is linked to nothing
    jumped: npt.NDArray[np.float32]  # (I,) and of each source word it may be linked to
    found: npt.NDArray[np.float32]  # (J, I) P(a_j = i)
    ratios: npt.NDArray[np.float32]  # (FERTILITIES - 1,) φ(k + 1) / φ(k) of one source word


@kernel
def _bench(room: Desk) -> Bench:
    rows, columns = room.lexical.shape[1], room.lexical.shape[2]
    return Bench(
        np.empty((columns + 1, columns), np.float32),
        np.empty((columns, columns + 1), np.float32),
        np.empty((rows, columns), np.float32),
        np.empty((rows + 1, columns + 1), np.float32),
        np.empty((rows, columns), np.float32),
        np.empty(columns + 1, np.float32),
        np.empty(columns, np.float32),
        np.empty(columns + 1, np.float32),
        np.empty(columns, np.float32),
        np.empty((rows, columns), np.float32),
        np.empty(FERTILITIES - 1, np.float32),
    )


@kernel
def _jumps(shapes: Shapes, chain: int, columns: int, bench: Bench) -> None:
    jumps, reach, middle = shapes.jumps[chain], shapes.reach[chain], shapes.jumps.shape[1] // 2
    for state in range(columns + 1):
        first = middle - state + 1
        share = np.float32(1.0 / (reach[first + columns] - reach[first]))
        for i in range(columns):
            bench.jumps[state, i] = bench.back[i, state] = jumps[first + i] * share


@kernel
def _mix(
    to: npt.NDArray[np.float32], shares: npt.NDArray[np.float32], table: npt.NDArray[np.float32], rows: int, columns: int
) -> None:
    """Add to `to` (columns,) the rows of `table`, each times its share: four at a time, for each pass over `to` costs as much as a row."""
    for row in range(0, rows - 3, 4):
        one, two, three, four = shares[row], shares[row + 1], shares[row + 2], shares[row + 3]
        if one + two + three + four > 0:
            for i in range(columns):
                to[i] += (one * table[row, i] + two * table[row + 1, i]) + (three * table[row + 2, i] + four * table[row + 3, i])
    for row in range(rows - rows % 4, rows):
        one = shares[row]
        for i in range(columns):
            to[i] += one * table[row, i]


@kernel
def _forward(nothing: npt.NDArray[np.float32], rows: int, columns: int, bench: Bench) -> None:
    """Fill `bench.before` and `bench.reached`."""
    first = bench.before[0]
    first[: columns + 1] = 0
    first[0] = 1
    for j in range(rows):
        now, then, reached, words, stays = bench.before[j], bench.before[j + 1], bench.reached[j], bench.words[j], nothing[j]
        reached[:columns] = 0
        _mix(reached, now, bench.jumps, columns + 1, columns)
        then[0] = now[0] * stays
        for i in range(columns):
            then[i + 1] = now[i + 1] * stays + reached[i] * words[i]
        scale = np.float32(1) / summed(then, columns + 1)
        for state in range(columns + 1):
            share = then[state] * scale
            then[state] = share if share > _LEAST else np.float32(0)


@kernel
def _backward(nothing: npt.NDArray[np.float32], weight: np.float32, rows: int, columns: int, bench: Bench) -> None:
    """Mix P(a_j = i) into `bench.found`, with a weight."""
    after, linked, stayed, jumped = bench.after, bench.linked, bench.stayed, bench.jumped
    after[: columns + 1] = 1
    for left in range(rows):
        j = rows - 1 - left
        before, reached, words, found, stays = bench.before[j], bench.reached[j], bench.words[j], bench.found[j], nothing[j]
        for i in range(columns):
            linked[i] = words[i] * after[i + 1]
            jumped[i] = reached[i] * linked[i]
        for state in range(columns + 1):
            after[state] *= stays
            stayed[state] = before[state] * after[state]
        scale = np.float32(1) / (summed(stayed, columns + 1) + summed(jumped, columns))
        share, kept = weight * scale, np.float32(1) - weight
        for i in range(columns):
            found[i] = kept * found[i] + share * jumped[i]
        _mix(after, linked, bench.back, columns, columns + 1)
        for state in range(columns + 1):
            after[state] *= scale


@kernel
def _fertile(
    counts: Counts, shapes: Shapes, chain: int, source: npt.NDArray[np.int32], lexical: npt.NDArray[np.float32], bench: Bench
) -> None:
    """Put fertility, at the number of links that each source word has with the other target words, into `bench.words`."""
    rows, columns, ratios, found = len(lexical), len(source), bench.ratios, bench.found
    for i in range(columns):
        expected = np.float32(0)
        for j in range(rows):
            expected += found[j, i]
        for k in range(FERTILITIES - 1):
            ratios[k] = fertility(counts.fertile, shapes.usual, shapes.belief, chain, source[i], k)
        for j in range(rows):
            others = max(expected - found[j, i], np.float32(0))
            k = min(int(others), FERTILITIES - 3)
            more = min(others - k, np.float32(1))
            bench.words[j, i] = lexical[j, i] * ((1 - more) * ratios[k] + more * ratios[k + 1])


@kernel
def _infer(
    counts: Counts, shapes: Shapes, chain: int, source: npt.NDArray[np.int32], rows: int, room: Desk, bench: Bench
) -> None:
    """Fill `bench.found` of a sentence in a chain."""
    columns, nothing = len(source), room.nulls[chain]
    lexical = room.lexical[chain, :rows]
    _jumps(shapes, chain, columns, bench)
    bench.words[:rows, :columns] = lexical[:, :columns]
    bench.found[:rows, :columns] = 0
    _pass(nothing, np.float32(1), rows, columns, bench)
    _fertile(counts, shapes, chain, source, lexical, bench)
    _pass(nothing, np.float32(0.5), rows, columns, bench)


@kernel
def _pass(nothing: npt.NDArray[np.float32], weight: np.float32, rows: int, columns: int, bench: Bench) -> None:
    """Mix P(a_j = i) given `bench.words` into `bench.found`, with a weight."""
    _forward(nothing, rows, columns, bench)
    _backward(nothing, weight, rows, columns, bench)


@kernel
def posteriors(counts: Counts, shapes: Shapes, text: Text, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return P(a_j = i) in each chain: (C, places), of sentence s from `places[s]` on, (J, I)."""
    sentences, chains = len(text.source_offsets) - 1, len(counts.null_total)
    room = desk(text, 0, sentences, counts)
    bench = _bench(room)
    found = np.empty((chains, places[-1]), np.float32)
    for s in range(sentences):
        source = text.source[text.source_offsets[s] : text.source_offsets[s + 1]]
        target = text.target[text.target_offsets[s] : text.target_offsets[s + 1]]
        rows, columns = len(target), len(source)
        look_up(counts, shapes, source, target, room)
        for chain in range(chains):
            _infer(counts, shapes, chain, source, rows, room, bench)
            for j in range(rows):
                first = places[s] + j * columns
                found[chain, first : first + columns] = bench.found[j, :columns]
    return found
