import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.errors import InputError
from mlctl.training.sampler import Sampler


def visited(sampler: Sampler, step: int) -> list[tuple[int, int]]:
    return [(piece.shard, int(row)) for piece in sampler.batch(step) for row in piece.rows]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(2, 12), st.integers(0, 99), st.integers(0, 3))
def test_an_epoch_visits_every_row_at_most_once(shard_rows: list[int], batch_size: int, seed: int, epoch: int) -> None:
    rows = sum(shard_rows)
    if rows < batch_size:
        return
    sampler = Sampler(shard_rows, batch_size, seed)
    steps = range(epoch * sampler.batches, (epoch + 1) * sampler.batches)
    batches = [visited(sampler, step) for step in steps]
    assert [sampler.position(step) for step in steps] == [(epoch, index) for index in range(sampler.batches)]
    assert all(len(batch) == batch_size for batch in batches)
    seen = [row for batch in batches for row in batch]
    assert len(set(seen)) == len(seen)
    assert rows - len(seen) < batch_size, "more than an incomplete batch was dropped"
    assert all(0 <= row < shard_rows[shard] for shard, row in seen)


@given(st.permutations(range(30)))
def test_a_batch_does_not_depend_on_what_was_asked_before(steps: list[int]) -> None:
    sampler = Sampler([10, 7, 13], 4, 0)
    assert [visited(sampler, step) for step in steps] == [visited(Sampler([10, 7, 13], 4, 0), step) for step in steps]


def test_epochs_and_seeds_differ_in_the_order_of_shards_and_rows() -> None:
    one, other = Sampler([50, 50], 100, 0), Sampler([50, 50], 100, 1)
    orders = [visited(one, 0), visited(one, 1), visited(other, 0)]
    assert len({tuple(order) for order in orders}) == 3
    firsts = {visited(Sampler([1] * 4, 2, seed), 0)[0][0] for seed in range(30)}
    assert firsts == {0, 1, 2, 3}
    sampler = Sampler([1] * 6, 6, 0)
    assert len({tuple(shard for shard, _ in visited(sampler, epoch)) for epoch in range(10)}) > 5, "shards come in another order"


def test_batches_lie_in_one_shard_or_two() -> None:
    sampler = Sampler([64] * 8, 48, 0)
    assert max(len(sampler.batch(step)) for step in range(50)) == 2


def test_corpus_smaller_than_a_batch() -> None:
    with pytest.raises(InputError, match=r"train\.batch_size is 64, but there are only 63 training rows\n.*at most 63"):
        Sampler([60, 3], 64, 0)
    Sampler([60, 4], 64, 0)


def test_dropped_rows_change_from_epoch_to_epoch() -> None:
    sampler = Sampler([5], 4, 0)
    left = {(set(range(5)) - {row for _, row in visited(sampler, epoch)}).pop() for epoch in range(40)}
    assert left == set(range(5))
    assert np.all([sampler.position(epoch) == (epoch, 0) for epoch in range(40)])
