"""Probabilities of links against a sum over all alignments of a sentence, written out in Python's floats."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from mlctl.alignment.eflomal import chains, sampling
from mlctl.alignment.eflomal.counts import FERTILITIES
from mlctl.alignment.eflomal.sampling import MAX_JUMP

from .encoded_corpus import Sentences, as_dict, corpus_of, some_sentences

WORDS = 9


def sampled(sentences: Sentences, number: int = 2) -> chains.Chains:
    chain = chains.Chains(corpus_of(sentences), chains.empty_state(number, WORDS, WORDS), WORDS, seeds=range(7, 7 + number))
    for stage in (0, 1, 2, 2):
        chain.sweep(stage)
    return chain


def places_of(sentences: Sentences) -> np.ndarray:
    return np.cumsum([0, *(len(source) * len(target) for source, target in sentences)])


def every_alignment(
    chain: chains.Chains, number: int, source: list[int], target: list[int], fertility: Callable[[int, int], float] | None = None
) -> np.ndarray:
    """P(a_j = i) (J, I): each alignment weighs its words, its jumps and `fertility(i, j)` of what it links."""
    counts, null, alpha = as_dict(chain.counts, number), chains._NULL_PRIOR, sampling.ALPHA
    share = (chain.jumps[number] + 0.5) / (chain.jumps[number] + 0.5).sum()
    nulls = chain.counts.nulls[:, number].astype(float)
    found, total = np.zeros((len(target), len(source))), 0.0
    for links in itertools.product(range(-1, len(source)), repeat=len(target)):
        weight, last = 1.0, -1
        for j, i in enumerate(links):
            if i < 0:
                weight *= null * (nulls[target[j]] + alpha) / (nulls.sum() + alpha * WORDS)
                continue
            totals = chain.counts.totals[source[i], number] + alpha * WORDS
            reach = sum(share[there - last + MAX_JUMP] for there in range(len(source)))
            lexical = (counts.get((source[i], target[j]), 0.0) + alpha) / totals
            weight *= (1 - null) * lexical * share[i - last + MAX_JUMP] / reach * (fertility(i, j) if fertility else 1.0)
            last = i
        total += weight
        for j, i in enumerate(links):
            if i >= 0:
                found[j, i] += weight
    return found / total


def ratios(chain: chains.Chains, number: int, word: int) -> np.ndarray:
    """φ(k + 1) / φ(k) of a source word, for each k."""
    fertile = chain.counts.fertile[:, number].astype(float)
    usual = (fertile.sum(0) + 0.5) / (fertile.sum(0) + 0.5).sum()
    shares = fertile[word] + chains._FERTILITY_STRENGTH * usual
    return shares[1:] / shares[:-1]


def plain(chain: chains.Chains, number: int, source: list[int], target: list[int]) -> np.ndarray:
    first = every_alignment(chain, number, source, target)

    def fertility(i: int, j: int) -> float:
        others = first[:, i].sum() - first[j, i]
        return float(np.interp(others, np.arange(FERTILITIES - 1), ratios(chain, number, source[i])))

    return (first + every_alignment(chain, number, source, target, fertility)) / 2


@pytest.mark.parametrize("sentence", [([0, 1, 2, 1], [3, 1, 4, 4]), ([5], [5, 2, 5]), ([6, 2, 8, 0, 3], [1])])
def test_probabilities_are_those_of_all_alignments(sentence: tuple[list[int], list[int]]) -> None:
    sentences: Sentences = [sentence, *some_sentences(60)]
    chain = sampled(sentences)
    places = places_of(sentences)
    found = chain.marginals(places)
    assert found.shape == (2, places[-1])
    for number in range(2):
        got = found[number, : places[1]].reshape(len(sentence[1]), len(sentence[0]))
        np.testing.assert_allclose(got, plain(chain, number, *sentence), rtol=1e-3, atol=1e-6)


def test_no_word_is_linked_more_than_once_in_all_also_in_long_sentences() -> None:
    random = np.random.default_rng(5)
    long = [(random.integers(0, WORDS, 200).tolist(), random.integers(0, WORDS, 180).tolist()) for _ in range(3)]
    sentences: Sentences = [*long, *some_sentences(30)]
    places = places_of(sentences)
    found = sampled(sentences).marginals(places)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    for s, (_, target) in enumerate(sentences):
        rows = found[:, places[s] : places[s + 1]].reshape(2, len(target), -1)
        assert rows.sum(2).max() <= 1 + 1e-4


def test_nothing_is_counted() -> None:
    chain = sampled(some_sentences(20))
    before = as_dict(chain.counts)
    chain.marginals(places_of(some_sentences(20)))
    assert as_dict(chain.counts) == before
