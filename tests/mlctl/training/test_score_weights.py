"""`train.weight_by`: weights by the rank of a score, in the rows of a step, and what a training makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.config import Train, resolve_train
from mlctl.core.score_columns import score_column
from mlctl.errors import InputError
from mlctl.training.collator import Collator
from mlctl.training.dataset import ShardReader
from mlctl.training.sampler import ShardSlice
from mlctl.training.score_weights import rank_weights


def add_scores(folder: Path, scores: list[list[float]], languages: list[list[str]] | None = None, name: str = "quality") -> None:
    for shard, values in enumerate(scores):
        path = folder / f"train/{shard:05d}.parquet"
        table = pq.read_table(path)
        column = score_column({name: np.array(values, np.float32)}, len(table))
        table = table.set_column(table.schema.get_field_index("scores"), table.schema.field("scores"), column)
        if languages:
            index = table.schema.get_field_index("target_language")
            table = table.set_column(index, table.schema.field(index), pa.array(languages[shard], pa.string()))
        pq.write_table(table, path)


def weights_of(folder: Path, unit: str = "sentence-pair") -> list[list[float]]:
    reader = ShardReader(folder, sample_unit=unit, weight_by="quality")  # type: ignore[arg-type]
    slices = [ShardSlice(shard, np.arange(rows), np.zeros(rows, np.int64)) for shard, rows in enumerate(reader.shard_samples)]
    found = [reader.read([part]).weights for part in slices]
    return [[] if weights is None else weights.tolist() for weights in found]


@given(st.lists(st.floats(-10, 10, width=32), min_size=1))
def test_ranks_have_the_mean_one_and_the_order_of_the_scores(scores: list[float]) -> None:
    weights = rank_weights(np.array(scores, np.float32))
    assert weights.mean() == pytest.approx(1)
    assert weights.min() > 0
    assert weights.max() < 2
    for one, own in zip(scores, weights, strict=True):
        for other, weight in zip(scores, weights, strict=True):
            assert (one < other) == (own < weight)
    assert rank_weights(np.full(len(scores), 0.3, np.float32)).tolist() == [1.0] * len(scores)


def test_a_row_is_ranked_among_its_language_in_all_shards(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_shards(tmp_path, [3, 0, 4])
    nan = float("nan")
    add_scores(folder, [[0.5, 9, nan], [], [0.7, 0.9, 8, 0.1]], [["bb", "cc", "bb"], [], ["bb", "bb", "cc", "bb"]])
    assert weights_of(folder) == [[0.75, 1.5, 1.0], [], [1.25, 1.75, 0.5, 0.25]]


def test_a_word_pair_has_the_weight_of_its_row(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_shards(tmp_path, [2])
    add_scores(folder, [[0.1, 0.2]])
    counts = [len(row) for row in pq.read_table(folder / "train/00000.parquet")["word_pairs"].to_pylist()]
    assert weights_of(folder, "word-pair") == [[0.5] * counts[0] + [1.5] * counts[1]]


def test_the_weights_of_a_batch_have_the_mean_one(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_shards(tmp_path, [8])
    add_scores(folder, [[1, 2, 3, 4, 5, 6, 7, 8]])
    reader = ShardReader(folder, weight_by="quality")
    rows = reader.read([ShardSlice(0, np.array([7, 2, 5]), np.zeros(3, np.int64))])
    batch = Collator(resolve_train(Train(word_pairs=2), "scratch"), 0, 0, None).collate(rows, 0)
    assert batch.weights is not None
    assert batch.weights.tolist() == pytest.approx(np.array([15, 5, 11]) * 3 / 31)
    assert batch.word_pair_weights is not None
    assert batch.word_pair_weights.tolist() == batch.weights[batch.word_pair_rows].tolist()
    plain = Collator(resolve_train(Train(), "scratch"), 0, 0, None).collate(
        ShardReader(folder).read([ShardSlice(0, np.arange(3), np.zeros(3, np.int64))]), 0
    )
    assert plain.weights is None
    assert plain.word_pair_weights is None


def test_equal_scores_give_weights_of_exactly_one(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_shards(tmp_path, [5])
    add_scores(folder, [[0.3] * 5])
    rows = ShardReader(folder, weight_by="quality").read([ShardSlice(0, np.arange(3), np.zeros(3, np.int64))])
    batch = Collator(resolve_train(Train(), "scratch"), 0, 0, None).collate(rows, 0)
    assert batch.weights is not None
    assert batch.weights.tolist() == [1.0] * 3


def test_a_score_that_no_row_has_is_an_error(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_shards(tmp_path, [2])
    with pytest.raises(InputError, match=r"train\.weight_by: no training row has the score 'quality'; there are: none"):
        ShardReader(folder, weight_by="quality")
    add_scores(folder, [[0.1, 0.2]], name="laser")
    with pytest.raises(InputError, match="there are: laser"):
        ShardReader(folder, weight_by="quality")
