"""Promotion: significantly better overall, and no task much worse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl import schema
from mlctl.evaluation.statistics.promotion import PromotionDecision, decide


def write_result(folder: Path, items: int = 400, **shares_correct: tuple[float, float]) -> Path:
    """Write an evaluate result in which champion and challenger have a share of the items of each task correct."""
    rows = [
        {
            "model": model,
            "task": task,
            "language": "fr",
            "direction": "en→fr",
            "seed": None,
            "item": str(item),
            "part": float(right),
            "whole": 1.0,
        }
        for task, shares in shares_correct.items()
        for model, share in zip(("base", "trained"), shares, strict=True)
        for item, right in enumerate(np.random.default_rng([len(task), model == "base"]).permutation(items) < share * items)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema.ITEMS), folder / "items.parquet")
    metrics = [{"task": task, "metric": "accuracy"} for task in shares_correct]
    pq.write_table(pa.Table.from_pylist(metrics), folder / "differences.parquet")
    return folder


def decision(folder: Path, tolerance: float = 0.01, **shares_correct: tuple[float, float]) -> PromotionDecision:
    return decide(write_result(folder, **shares_correct), 500, 0, tolerance)


def test_better_beyond_noise(tmp_path: Path) -> None:
    promotion = decision(tmp_path, one=(0.5, 0.7), other=(0.5, 0.6))
    assert promotion.is_better
    overall, *tasks = promotion.comparisons
    assert (overall.task, [comparison.task for comparison in tasks]) == ("all", ["one", "other"])
    assert overall.difference == pytest.approx(0.15)
    assert 0 < overall.low < 0.15 < overall.high
    assert promotion.reason.startswith("significantly better: +15.0 points overall")


@pytest.mark.parametrize("shares_correct", [{"one": (0.7, 0.5)}, {"one": (0.5, 0.5)}, {"one": (0.5, 0.51)}])
def test_worse_equal_or_within_noise_is_not_better(tmp_path: Path, shares_correct: dict[str, tuple[float, float]]) -> None:
    promotion = decision(tmp_path, tolerance=0.5, **shares_correct)
    assert not promotion.is_better
    assert promotion.reason.startswith("not significantly better")


def test_better_on_the_whole_but_one_task_falls(tmp_path: Path) -> None:
    shares_correct = {"one": (0.3, 0.9), "other": (0.5, 0.47)}
    promotion = decision(tmp_path, **shares_correct)
    assert not promotion.is_better
    assert promotion.reason == "decreases by more than 1 points: other -3.0"
    assert decision(tmp_path, tolerance=0.05, **shares_correct).is_better


def test_tasks_count_alike_however_many_items_they_have(tmp_path: Path) -> None:
    small = write_result(tmp_path, items=40, one=(0.5, 0.75))
    items = pq.read_table(small / "items.parquet")
    write_result(tmp_path, items=400, other=(0.5, 0.5))
    pq.write_table(pa.concat_tables([items, pq.read_table(small / "items.parquet")]), small / "items.parquet")
    metrics = [{"task": task, "metric": "accuracy"} for task in ("one", "other")]
    pq.write_table(pa.Table.from_pylist(metrics), small / "differences.parquet")
    assert decide(small, 500, 0, 0.01).comparisons[0].difference == pytest.approx(0.125)
