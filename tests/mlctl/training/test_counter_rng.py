import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlctl.training.counter_rng import Stream, bits, keys, permutation, uniform


def test_positions_of_key_zero_are_the_sequence_of_splitmix64() -> None:
    known = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]  # of seed 0
    assert [int(value) for value in bits(np.zeros(1, np.uint64), np.arange(3))] == known


def test_everything_that_names_a_draw_matters() -> None:
    rows = np.arange(50)
    streams = [keys(seed, purpose, epoch, rows) for seed in (0, 1) for purpose in Stream for epoch in (0, 1)]
    assert len(np.unique(np.concatenate(streams))) == 50 * len(streams)


def test_uniform_is_uniform() -> None:
    draws = uniform(keys(0, Stream.WORD_PAIRS, 0, np.arange(1000))[:, None], np.arange(100)[None, :])
    assert draws.min() >= 0
    assert draws.max() < 1
    counts, _ = np.histogram(draws, 20, (0, 1))
    expected = draws.size / 20
    assert ((counts - expected) ** 2 / expected).sum() < 60  # chi-squared with 19 degrees of freedom: p ~ 4e-6
    across = np.corrcoef(draws[:-1].ravel(), draws[1:].ravel())[0, 1]
    along = np.corrcoef(draws[:, :-1].ravel(), draws[:, 1:].ravel())[0, 1]
    assert abs(across) < 0.02
    assert abs(along) < 0.02


def test_a_row_draws_the_same_in_any_company() -> None:
    alone = bits(keys(1, Stream.WORD_PAIRS, 2, np.array([17])), np.arange(5))
    together = bits(keys(1, Stream.WORD_PAIRS, 2, np.array([3, 17]))[:, None], np.arange(9))
    assert np.array_equal(alone, together[1, :5])


@given(st.integers(0, 2**31 - 1), st.integers(0, 5), st.integers(0, 5), st.integers(0, 300))
def test_permutations(seed: int, epoch: int, index: int, count: int) -> None:
    order = permutation(seed, Stream.ROW_ORDER, epoch, index, count)
    assert sorted(order) == list(range(count))


def test_permutations_reach_every_order() -> None:
    seen = {tuple(permutation(seed, Stream.ROW_ORDER, 0, 0, 3)) for seed in range(100)}
    assert len(seen) == 6
