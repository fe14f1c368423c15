"""The sampler's mathematics: tables against dictionaries, a visit against the formulas written out, jumps that sum to one."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from mlctl.alignment.eflomal import chains, sampling
from mlctl.alignment.eflomal import counts as tables
from mlctl.alignment.eflomal import sentence_buffer as buffers
from mlctl.alignment.eflomal.counts import FERTILITIES, Rows
from mlctl.alignment.eflomal.sampling import MAX_JUMP
from mlctl.alignment.eflomal.sentence_buffer import Corpus

from .encoded_corpus import Sentences, as_dict, corpus_of, some_sentences


def test_tables_count_as_a_dictionary_does_also_when_words_come_and_go() -> None:
    random = np.random.default_rng(3)
    counts, plain = tables.empty_counts(2, 5, 400, 1 << 15), Counter[tuple[int, int, int]]()
    for _ in range(9000):
        place = int(random.integers(2)), int(random.integers(5)), int(random.integers(400) ** 2 // 400)
        if plain[place] and random.random() < 0.6:
            tables.remove_link(counts, *place)
            plain[place] -= 1
        else:
            tables.add_link(counts, *place, 1.0)
            plain[place] += 1
    for chain in range(2):
        assert as_dict(counts, chain) == {
            pair: n for (c, *pair), n in plain.items() if n and c == chain for pair in [tuple(pair)]
        }


def test_rows_at_rest_are_what_was_collected_and_load_again_by_other_numbers() -> None:
    counts = tables.with_sums(tables.empty_counts(2, 3, 50))
    for e, f in ((0, 7), (0, 3), (2, 9), (0, 7)):
        tables.add_link(counts, 1, e, f, 1.0)
    tables.accumulate(counts, 0.5)
    tables.accumulate(counts, 0.5)
    rows = tables.to_rows(counts, 1)
    assert (rows.offsets.tolist(), rows.keys.tolist(), rows.counts.tolist()) == ([0, 2, 2, 3], [3, 7, 9], [1.0, 2.0, 1.0])
    assert not len(tables.to_rows(counts, 0).keys)
    again = tables.empty_counts(1, 2, 4)
    targets = np.full(50, -1, np.int32)
    targets[7], targets[9] = 1, 0
    assert tables.load_rows(again, 0, rows, np.array([1, -1, 0], np.int32), targets, 3.0) == 3
    assert as_dict(again) == {(1, 1): 6.0, (0, 0): 3.0}


def test_a_start_grows_its_arena_as_needed() -> None:
    size = 30_000
    rows = Rows(np.array([0, size]), np.arange(size, dtype=np.int32), np.ones(size, np.float32))
    fertile = np.zeros((1, FERTILITIES), np.float32)
    side = chains.ChainModel(rows, np.full(1, size, np.float64), np.zeros(size, np.float32), fertile, np.zeros(2 * MAX_JUMP + 1))
    start = chains.state_from_models([side], np.zeros(1, np.int32), np.arange(size, dtype=np.int32), (1, size), 1.0)
    assert len(as_dict(start.counts)) == size


@pytest.mark.parametrize("sweeps", [1, 4])
def test_counts_after_sweeps_are_those_of_the_links(sweeps: int) -> None:
    sentences = some_sentences(300, words=60)
    corpus = corpus_of(sentences)
    chain = chains.Chains(corpus, chains.empty_state(2, 60, 60), 60, seeds=[9, 4])
    for number in range(sweeps):
        chain.sweep(min(number, 2))
    links: Counter[tuple[int, int]] = Counter()
    fertile, nulls, jumps = np.zeros((60, FERTILITIES)), np.zeros(60), np.zeros(2 * MAX_JUMP + 1)
    for s, (source, target) in enumerate(sentences):
        own = chain.links[1, corpus.target_offsets[s] : corpus.target_offsets[s + 1]]
        previous = -1
        for f, i in zip(target, own.tolist(), strict=True):
            if i < 0:
                nulls[f] += 1
                continue
            links[source[i], f] += 1
            jumps[i - previous + MAX_JUMP] += 1
            previous = i
        for i, e in enumerate(source):
            fertile[e, min(int((own == i).sum()), FERTILITIES - 1)] += 1
    assert as_dict(chain.counts, 1) == links
    np.testing.assert_allclose(
        chain.counts.totals[:, 1], [sum(n for (e, _), n in links.items() if e == word) for word in range(60)]
    )
    np.testing.assert_array_equal(chain.counts.fertile[:, 1], fertile)
    np.testing.assert_array_equal(chain.counts.nulls[:, 1], nulls)
    np.testing.assert_array_equal(chain.jumps[1], jumps)


def test_a_chain_is_the_same_alone_and_beside_others() -> None:
    corpus = corpus_of(some_sentences(200, words=30))
    start = chains.state_from_models(
        [side_of(corpus, 30)], np.arange(30, dtype=np.int32), np.arange(30, dtype=np.int32), (30, 30), 0.3
    )
    alone = chains.Chains(corpus, start, 30, seeds=[4])
    three = chains.state_from_models(
        [side_of(corpus, 30)] * 3, np.arange(30, dtype=np.int32), np.arange(30, dtype=np.int32), (30, 30), 0.3
    )
    beside = chains.Chains(corpus, three, 30, seeds=[1, 4, 2])
    for stage in (0, 1, 2, 2, 2, 2):
        alone.sweep(stage)
        beside.sweep(stage)
    np.testing.assert_array_equal(alone.links[0], beside.links[1])
    assert as_dict(alone.counts) == as_dict(beside.counts, 1)
    assert not np.array_equal(beside.links[0], beside.links[1])


def side_of(corpus: Corpus, words: int) -> chains.ChainModel:
    begun = chains.burn_in(
        chains.Chains(corpus, chains.empty_state(1, words, words), words, seeds=[6]), chains.SamplingPlan((1, 1, 3), 3, 1)
    )
    (side,) = chains.average_sweeps(begun, 0, 3)
    return side


def test_a_link_that_is_there_from_the_start_is_counted_of_its_word_too() -> None:
    start = chains.with_identical_words(chains.empty_state(2, 4, 3), np.array([2, -1, 0, -1], np.int32))
    for chain in range(2):
        assert as_dict(start.counts, chain) == {(0, 2): 1, (2, 0): 1}
    assert start.counts.totals.tolist() == [[1, 1], [0, 0], [1, 1], [0, 0]]


def test_a_sentence_of_frequent_words_alone_finds_room() -> None:
    size = 49_140  # of each source word: its table of 65,536 slots is about to move, and all of them together take millions
    rows = Rows(np.arange(31) * size, np.tile(np.arange(size, dtype=np.int32), 30), np.ones(30 * size, np.float32))
    fertile, nulls = np.zeros((30, FERTILITIES), np.float32), np.zeros(size, np.float32)
    side = chains.ChainModel(rows, np.full(30, size, np.float64), nulls, fertile, np.zeros(2 * MAX_JUMP + 1))
    numbers = np.arange(30, dtype=np.int32), np.arange(size, dtype=np.int32)
    start = chains.state_from_models([side], *numbers, (30, size), 1.0)
    full = start._replace(counts=tables.grow(start.counts, 0))
    every = chains.Chains(corpus_of([(list(range(30)) * 20, [1] * 30)]), full, size, [1])
    every.sweep(2)
    assert len(every.counts.keys) < 30 * (1 << 18)


def plain_marginals(  # noqa: C901 - the formulas in one piece, to be read beside the module's
    sentences: Sentences, links: list[list[int]], s: int, new: list[int], stage: int, jumps: np.ndarray, words: int
) -> np.ndarray:
    """P(a_j = i) of sentence s as the module's formulas say, in Python's floats; the links before j are the `new` ones."""
    null, belief, alpha = chains._NULL_PRIOR, chains._FERTILITY_STRENGTH, sampling.ALPHA
    lexical: defaultdict[tuple[int, int], float] = defaultdict(float)
    totals, nulls, fertile = np.zeros(words), np.zeros(words), np.zeros((words, FERTILITIES))
    usual = np.full(FERTILITIES, 0.5)
    for k, (source, target) in enumerate(sentences):
        for i, e in enumerate(source):
            number = min(links[k].count(i), FERTILITIES - 1)
            usual[number] += 1
            fertile[e, number] += k != s
        for f, i in zip(target, links[k], strict=True):
            if k != s and i >= 0:
                lexical[source[i], f] += 1
                totals[source[i]] += 1
            elif k != s:
                nulls[f] += 1
    usual /= usual.sum()
    source, target = sentences[s]
    share = (jumps + 0.5) / (jumps + 0.5).sum()

    def jump(width: int) -> float:
        return float(share[width + MAX_JUMP])

    def reach(a: int) -> float:
        return sum(jump(i - a) for i in range(len(source)))

    found = np.zeros((len(target), len(source)))
    for j, f in enumerate(target):
        others = [*new[:j], -1, *links[s][j + 1 :]]
        before = next((i for i in reversed(others[:j]) if i >= 0), -1)
        after = next((i for i in others[j + 1 :] if i >= 0), None)
        weights = []
        for i, e in enumerate(source):
            weight = (1 - null) * (lexical[e, f] + alpha) / (totals[e] + alpha * words)
            if stage == 0:
                distance = int(abs((i + 0.5) / len(source) - (j + 0.5) / len(target)) * buffers.DISTANCE_BINS)
                weight *= np.exp(-sampling.DIAGONAL_TENSION * distance / buffers.DISTANCE_BINS)
            else:
                weight *= jump(i - before) / reach(before) * (1 if after is None else jump(after - i) / reach(i))
            if stage == 2:
                k = min(others.count(i), FERTILITIES - 2)
                weight *= (fertile[e, k + 1] + belief * usual[k + 1]) / (fertile[e, k] + belief * usual[k])
            weights.append(weight)
        nothing = null * (nulls[f] + alpha) / (nulls.sum() + alpha * words)
        if stage and after is not None:
            nothing *= jump(after - before) / reach(before)
        found[j] = np.array(weights) / (sum(weights) + nothing)
    return found


def test_a_sentence_finds_the_counts_without_its_own_links_also_of_words_that_it_repeats() -> None:
    sentences: Sentences = [([0, 1, 0, 2, 2], [3, 1, 3, 4, 1, 0]), *some_sentences(30)]
    corpus, own = corpus_of(sentences), sentences[0]
    chain = chains.Chains(corpus, chains.empty_state(3, 9, 9), 9, seeds=[1, 2, 3])
    chain.sweep(0)
    buffer = buffers.allocate_buffer(corpus, 0, len(sentences), chain.counts)
    source, target = (np.array(side, np.int32) for side in own)
    buffers.load_counts(chain.counts, source, target, buffer)
    for c in range(3):
        links = np.array([0, 1, 2, 4, -1, 3], np.int16)
        buffers.subtract_own_links(c, source, target, links, buffer)
        mine = Counter((own[0][i], f) for f, i in zip(own[1], links, strict=True) if i >= 0)
        counted = as_dict(chain.counts, c)
        expected = [[counted.get((e, f), 0) - mine[e, f] for e in own[0]] for f in own[1]]
        assert buffer.lexical[c, : len(target), : len(source)].tolist() == expected
    buffers.reset(source, target, buffer)
    assert (buffer.source_last == -1).all()
    assert (buffer.target_last == -1).all()


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_a_visit_draws_from_the_formulas(stage: int) -> None:
    many = 2000  # chains in one state, each of which draws from its own random numbers
    sentences: Sentences = [([0, 1, 2, 3, 4, 5, 6, 2], [3, 1, 4, 1, 5, 2, 6]), *some_sentences(40)]  # the first is looked at
    corpus = corpus_of(sentences)
    chain = chains.Chains(corpus, chains.empty_state(many, 9, 9), 9, seeds=[8] * many)
    for earlier in (0, 1, 2):
        chain.sweep(earlier)
    bounds = list(zip(corpus.target_offsets[:-1].tolist(), corpus.target_offsets[1:].tolist(), strict=True))
    old = [chain.links[0, a:b].tolist() for a, b in bounds]
    jumps = chain.jumps[0].copy()
    chain._seeds = np.arange(many)
    chain.sweep(stage)
    drawn = Counter(tuple(links) for links in chain.links[:, slice(*bounds[0])].tolist())
    difference, variance = np.zeros((7, 8)), np.zeros((7, 8))
    for new, times in drawn.items():
        expected = plain_marginals(sentences, old, 0, list(new), stage, jumps, 9)
        difference += times * ((np.array(new)[:, None] == np.arange(8)) - expected)
        variance += times * expected * (1 - expected)
    assert len(drawn) > 50
    assert (abs(difference) < 4.5 * np.sqrt(variance) + 1).all()


def test_sharp_sweeps_take_the_likelier_of_two_draws() -> None:
    many = 8000  # chains: each draws once, from the same weights
    rows = Rows(np.array([0, 1, 2]), np.zeros(2, np.int32), np.array([1.0, 3.0], np.float32))
    fertile, nulls = np.zeros((2, FERTILITIES), np.float32), np.array([4, 4], np.float32)
    side = chains.ChainModel(rows, np.full(2, 5.0), nulls, fertile, np.zeros(2 * MAX_JUMP + 1))
    numbers = np.arange(2, dtype=np.int32)

    def drawn(sharp: bool) -> np.ndarray:
        start = chains.state_from_models([side] * many, numbers, numbers, (2, 2), 1.0)
        every = chains.Chains(corpus_of([([0, 1], [0])]), start, 2, seeds=range(many))
        every.sweep(0, sharp)
        return np.array([(every.links[:, 0] == place).mean() for place in (0, 1, -1)])

    shares = drawn(sharp=False)
    lighter = np.array([shares[shares < share].sum() for share in shares])
    expected = shares * (shares + 2 * lighter)
    np.testing.assert_allclose(drawn(sharp=True), expected, atol=0.03)
    assert abs(expected - shares).max() > 0.06


def test_jumps_from_any_place_sum_to_one_and_wide_ones_are_clipped() -> None:
    jumps = np.random.default_rng(2).random(2 * MAX_JUMP + 1) * 10
    length = 250
    parameters = chains.shared_parameters(jumps[None], np.ones((1, FERTILITIES)), length, 9)
    corpus = corpus_of([([0] * length, [0])])
    nothing = tables.empty_counts(1, 9, 9)
    buffer = sampling.allocate_buffer(corpus, 0, 1, nothing)
    sampling.prepare_visit(nothing, parameters, 0, corpus.source, np.full(1, -1, np.int16), 1, buffer)
    (table,), (back,) = parameters.jumps, parameters.reversed_jumps
    middle = len(table) // 2
    for place in (-1, 0, 100, length - 1):
        row = table[middle - place : middle - place + length]
        assert row.sum() * buffer.inverse_norms[place + 1] == pytest.approx(1, abs=1e-4)
    assert table[middle + MAX_JUMP] == table[middle + length]
    np.testing.assert_array_equal(table, back[::-1])


def test_sums_and_draws_cover_all_words() -> None:
    weights = np.arange(1, 8, dtype=np.float32)
    for columns in range(1, 8):
        assert sampling.ordered_sum(weights, columns) == weights[:columns].sum()
        marks = np.arange(weights[:columns].sum()) + 0.5
        drawn = [sampling._pick(weights, columns, np.float32(mark)) for mark in marks]
        assert np.bincount(drawn).tolist() == weights[:columns].tolist()
