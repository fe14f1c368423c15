"""Items of results are read as the comparison of two runs reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl import schema
from mlctl.evaluation.metrics.item_scores import ItemScores
from mlctl.evaluation.statistics.item_tables import item_count, item_matrix, read_items, seed_scores
from mlctl.evaluation.statistics.model_comparison import ModelScores, item_columns


def scores(model: str, language: str, seed: int | None, part: list[float], names: str, way: str = "xx→en") -> ModelScores:
    numbers = np.array(part, np.float32)
    return ModelScores(
        model, "t", language, seed, "f1", [ItemScores("t", way, {}, list(names), numbers, np.full_like(numbers, 2))]
    )


def write(folder: Path, *results: ModelScores) -> Path:
    tables = [pa.table(item_columns(result, one), schema.ITEMS) for result in results for one in result.scores]
    pq.write_table(pa.concat_tables(tables), folder / "items.parquet")
    return folder


def test_seeds_and_directions_are_told_apart(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        scores("base", "de", 1, [2, 0], "ab"),
        scores("base", "de", 0, [1, 0], "ab"),
        scores("base", "de", 0, [2, 2], "ab", "en→xx"),
        scores("base", "de", 1, [0, 0], "ab", "en→xx"),
        scores("base", "fr", None, [1], "a"),
        scores("trained", "de", 0, [2, 2], "ab"),
    )
    items = read_items(folder, "base", "t")
    assert {language: {seed: len(ways) for seed, ways in seeds.items()} for language, seeds in items.items()} == {
        "de": {0: 2, 1: 2},
        "fr": {-1: 1},
    }
    assert seed_scores(items["de"]) == [5 / 8, 2 / 8], "in the order of the seeds, both directions together"
    assert item_count(items["de"]) == 2
    matrix = item_matrix([items["de"]])
    assert matrix.part.tolist() == [[[3, 2], [2, 0]]]
    assert matrix.whole.tolist() == [[[4, 4], [4, 4]]]
    assert read_items(folder, "base", "other") == {}


def test_items_are_matched_by_name_and_sorted(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    rows = {"one": ([1, 2], "ca"), "two": ([1, 2], "ac"), "three": ([3], "b")}
    models = [
        read_items(write(tmp_path / name, scores("base", "de", None, *row)), "base", "t")["de"] for name, row in rows.items()
    ]
    assert item_matrix(models).part.tolist() == [[[2, 0, 1]], [[1, 0, 2]], [[0, 3, 0]]]
    assert item_matrix(models).whole[2].tolist() == [[0, 2, 0]], "an item that a model does not have adds nothing"


@pytest.mark.parametrize("seeds", [(None,), (0, 1, 2)])
def test_many_items_keep_their_order(tmp_path: Path, seeds: tuple[int | None, ...]) -> None:
    names = [str(number) for number in range(30)]
    results = []
    for seed in seeds:
        part = np.arange(30, dtype=np.float32) + (seed or 0)
        results.append(
            ModelScores("base", "t", "de", seed, "f1", [ItemScores("t", "d", {}, names, part, np.full(30, 9, np.float32))])
        )
    matrix = item_matrix([read_items(write(tmp_path, *results), "base", "t")["de"]])
    order = sorted(range(30), key=str)
    assert matrix.part[0].tolist() == [[number + (seed or 0) for number in order] for seed in seeds]
