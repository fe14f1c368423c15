"""Who is promoted: better on the whole beyond noise, and no task much worse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl import schema
from mlctl.evaluation.statistics.promotion import PromotionDecision, decide


def judged(folder: Path, items: int = 400, **rights: tuple[float, float]) -> Path:
    """An evaluate result in which champion and challenger have some share of the items of each task right."""
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
        for task, shares in rights.items()
        for model, share in zip(("base", "trained"), shares, strict=True)
        for item, right in enumerate(np.random.default_rng([len(task), model == "base"]).permutation(items) < share * items)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema.ITEMS), folder / "items.parquet")
    metrics = [{"task": task, "metric": "accuracy"} for task in rights]
    pq.write_table(pa.Table.from_pylist(metrics), folder / "differences.parquet")
    return folder


def verdict(folder: Path, tolerance: float = 0.01, **rights: tuple[float, float]) -> PromotionDecision:
    return decide(judged(folder, **rights), 500, 0, tolerance)


def test_better_beyond_noise(tmp_path: Path) -> None:
    found = verdict(tmp_path, one=(0.5, 0.7), other=(0.5, 0.6))
    assert found.better
    whole, *tasks = found.comparisons
    assert (whole.task, [comparison.task for comparison in tasks]) == ("all", ["one", "other"])
    assert whole.difference == pytest.approx(0.15)
    assert 0 < whole.low < 0.15 < whole.high
    assert found.why.startswith("significantly better: +15.0 points overall")


@pytest.mark.parametrize("rights", [{"one": (0.7, 0.5)}, {"one": (0.5, 0.5)}, {"one": (0.5, 0.51)}])
def test_worse_equal_or_within_noise_is_not_better(tmp_path: Path, rights: dict[str, tuple[float, float]]) -> None:
    found = verdict(tmp_path, tolerance=0.5, **rights)
    assert not found.better
    assert found.why.startswith("not significantly better")


def test_better_on_the_whole_but_one_task_falls(tmp_path: Path) -> None:
    rights = {"one": (0.3, 0.9), "other": (0.5, 0.47)}
    found = verdict(tmp_path, **rights)
    assert not found.better
    assert found.why == "falls by more than 1 points: other -3.0"
    assert verdict(tmp_path, tolerance=0.05, **rights).better


def test_tasks_count_alike_however_many_items_they_have(tmp_path: Path) -> None:
    small = judged(tmp_path, items=40, one=(0.5, 0.75))
    items = pq.read_table(small / "items.parquet")
    judged(tmp_path, items=400, other=(0.5, 0.5))
    pq.write_table(pa.concat_tables([items, pq.read_table(small / "items.parquet")]), small / "items.parquet")
    metrics = [{"task": task, "metric": "accuracy"} for task in ("one", "other")]
    pq.write_table(pa.Table.from_pylist(metrics), small / "differences.parquet")
    assert decide(small, 500, 0, 0.01).comparisons[0].difference == pytest.approx(0.125)
