"""The generators are fixed formulas: results of earlier releases depend on them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from mlctl.alignment.eflomal.sampling import initial_random_state
from mlctl.core.random import GOLDEN, absorb, shuffle_key, splitmix64, text_draws

MASK = (1 << 64) - 1


def reference_splitmix64(state: int) -> int:
    """Return the output function of SplitMix64, in Python's integers, as in Vigna's public-domain splitmix64.c."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def test_the_mixing_function_is_splitmix64() -> None:
    """The first outputs of splitmix64.c for the seed 1234567, as published with it."""
    states = np.uint64(1234567) + GOLDEN * np.arange(1, 4, dtype=np.uint64)
    assert splitmix64(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_absorbing_is_a_step_of_splitmix64_by_the_value() -> None:
    states, values = np.array([0, 5, MASK], np.uint64), np.array([[0], [7]], np.uint64)
    expected = [[reference_splitmix64((state + int(GOLDEN) * (value + 1)) & MASK) for state in (0, 5, MASK)] for value in (0, 7)]
    assert absorb(states, values).tolist() == expected


@pytest.mark.parametrize(("seed", "sweep", "sentence"), [(0, 0, 0), (1, 2, 3), (2**31, 400, 10**9)])
def test_the_sampler_of_word_alignments_starts_from_the_same_function(seed: int, sweep: int, sentence: int) -> None:
    state = seed * 0x9E3779B97F4A7C15 + sweep * 0xBF58476D1CE4E5B9 + (sentence + 1) * 0x94D049BB133111EB
    assert int(initial_random_state(seed, sweep, sentence)) == reference_splitmix64(state & MASK) | 1


def test_draws_of_texts_depend_on_text_seed_and_purpose_alone() -> None:
    drawn = text_draws(["a", "b", "a"], 1, "order")
    assert drawn[0] == drawn[2] != drawn[1]
    assert text_draws([b"b", "a"], 1, "order").tolist() == [drawn[1], drawn[0]]
    assert drawn[0] not in {*text_draws(["a"], 2, "order"), *text_draws(["a"], 1, "held out")}
    assert text_draws([], 1, "order").shape == (0,)


def test_draws_of_texts_keep_their_formula() -> None:
    key = hashlib.blake2b(b"order\x001", digest_size=32).digest()
    expected = int.from_bytes(hashlib.blake2b("é".encode(), digest_size=8, key=key).digest(), "little")
    assert text_draws(["é"], 1, "order").tolist() == [expected]


def test_shuffle_keys_keep_their_formula_and_take_broken_unicode() -> None:
    assert shuffle_key("7", "a", "b") == hashlib.blake2b(b"7\x00a\x00b", digest_size=16).digest()
    assert shuffle_key("a", "b") != shuffle_key("ab")
    assert len(shuffle_key("\ud800")) == 16
