from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.schema import SHARD
from mlctl.training.dataset import ShardReader
from mlctl.training.language_sampling import LanguageSampler, cumulative_count
from mlctl.training.sampler import Sampler

SHARDS = [[0] * 30 + [1] * 6 + [2], [1] * 2 + [0] * 25 + [1], [2, 0, 0]]


def mixture(alpha: float, shards: list[list[int]] = SHARDS, seed: int = 0) -> LanguageSampler:
    languages = [np.array(shard) for shard in shards]
    kinds = max(map(max, shards)) + 1
    return LanguageSampler(
        np.stack([np.bincount(shard, minlength=kinds) for shard in languages]), languages.__getitem__, alpha, seed
    )


def visited(sampler: Sampler, steps: range) -> Counter[tuple[int, int]]:
    return Counter((piece.shard, row) for step in steps for piece in sampler.batch(step) for row in piece.rows.tolist())


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=40), min_size=1, max_size=5), st.floats(0.05, 1))
def test_languages_are_visited_in_proportion_to_a_power_of_their_rows(shards: list[list[int]], alpha: float) -> None:
    shards[0] += [0, 1, 2]
    made, sizes = mixture(alpha, shards), Counter(language for shard in shards for language in shard)
    visits = Counter(shards[number][row] for number in range(len(shards)) for row in made.visits(0, number).tolist())
    whole = sum(size**alpha for size in sizes.values())
    for language, size in sizes.items():
        expected = size**alpha / whole * sum(sizes.values())
        assert abs(visits[language] - expected) <= 0.5 + 1e-9, "XLM-R: p ∝ n^α"
    assert made.shard_visits == [len(made.visits(0, number)) for number in range(len(shards))]


@pytest.mark.parametrize("alpha", [0.2, 0.7])
def test_over_epochs_no_row_of_a_language_and_shard_is_visited_more_often_than_another(alpha: float) -> None:
    made, times = mixture(alpha), Counter[tuple[int, int]]()
    for epoch in range(7):
        for number in range(len(SHARDS)):
            times.update((number, row) for row in made.visits(epoch, number).tolist())
        for number, shard in enumerate(SHARDS):
            for language in set(shard):
                of_rows = {times[number, row] for row in range(len(shard)) if shard[row] == language}
                assert max(of_rows) - min(of_rows) <= 1
    orders = {tuple(made.visits(epoch, 0).tolist()) for epoch in range(7)}
    assert len(orders) == 7


def test_with_alpha_1_it_would_be_each_row_once() -> None:
    assert all(sorted(mixture(1.0).visits(3, number).tolist()) == list(range(len(shard))) for number, shard in enumerate(SHARDS))


@given(st.permutations(range(25)))
def test_a_batch_does_not_depend_on_what_was_asked_before(steps: list[int]) -> None:
    sizes = [len(shard) for shard in SHARDS]
    sampler = Sampler(sizes, 8, 3, mixture(0.3))
    for step in steps[:8]:
        fresh = Sampler(sizes, 8, 3, mixture(0.3))
        for one, other in zip(sampler.batch(step), fresh.batch(step), strict=True):
            assert (one.shard, one.rows.tolist(), one.earlier_visits.tolist()) == (
                other.shard,
                other.rows.tolist(),
                other.earlier_visits.tolist(),
            )


def test_an_epoch_of_the_sampler_is_one_of_the_mixture() -> None:
    made = mixture(0.3)
    sampler = Sampler([len(shard) for shard in SHARDS], 1, 0, made)
    assert sampler.batches == sum(made.shard_visits)
    expected = Counter((number, row) for number in range(3) for row in made.visits(1, number).tolist())
    assert visited(sampler, range(sampler.batches, 2 * sampler.batches)) == expected
    assert max(expected.values()) > 1


@given(st.lists(st.integers(0, 5), max_size=30))
def test_earlier_counts_equal_ones_before(rows: list[int]) -> None:
    assert cumulative_count(np.array(rows, np.int64)).tolist() == [rows[:index].count(row) for index, row in enumerate(rows)]


def languages_of(folder: Path, numbers: np.ndarray) -> list[str]:
    tables = [pq.read_table(file)["target_language"].to_pylist() for file in sorted((folder / "train").glob("*.parquet"))]
    every = [language for table in tables for language in table]
    return [every[number % len(every)] for number in numbers.tolist()]


def test_of_a_corpus_a_second_visit_in_an_epoch_has_a_number_of_its_own(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_shards(tmp_path, [60, 40])
    for number, rare in ((0, 4), (1, 2)):  # what is there is of one language; make some rows of another
        file = folder / "train" / f"{number:05d}.parquet"
        rows = pq.read_table(file).to_pylist()
        for row in rows[:rare]:
            row["target_language"] = "cc"
        pq.write_table(pa.Table.from_pylist(rows, schema=SHARD), file)
    shards = ShardReader(folder)
    sampler = Sampler(shards.shard_rows, 20, 0, shards.language_sampler(0.25, 0))
    numbers = np.concatenate([shards.read(sampler.batch(step)).row_ids for step in range(sampler.batches)])
    assert len(np.unique(numbers)) == len(numbers) > len(np.unique(numbers % 100))
    shares = Counter(languages_of(folder, numbers))
    expected = 100 * 6**0.25 / (6**0.25 + 94**0.25)
    assert shares["cc"] == pytest.approx(expected, abs=2)
