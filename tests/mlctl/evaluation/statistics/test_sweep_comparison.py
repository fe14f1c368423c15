"""The comparison of a sweep's variants against direct formulas, on made evaluate results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl import schema
from mlctl.evaluation.metrics.item_scores import ItemScores
from mlctl.evaluation.statistics.model_comparison import ModelScores, difference_rows, item_columns
from mlctl.evaluation.statistics.paired_tests import ItemMatrix, compare, holm, mean
from mlctl.evaluation.statistics.run_comparison import TaskLanguage, read_scores
from mlctl.evaluation.statistics.sweep_comparison import SweepTables, Training, compare_variants

ITEMS, RESAMPLES = 60, 400
LANGUAGES = ("de", "en", "fr")
QUESTIONS: dict[TaskLanguage, str] = {("udpos", language): "items" for language in LANGUAGES}


def answers(seed: int, share: float) -> dict[tuple[str, int], np.ndarray]:
    """Return whether each item is right, by language and seed of fine-tuning."""
    random = np.random.default_rng(seed)
    return {(language, tuning): (random.random(ITEMS) < share).astype(float) for language in LANGUAGES for tuning in (0, 1)}


def evaluated(folder: Path, base: dict[tuple[str, int], np.ndarray], trained: dict[tuple[str, int], np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    names, whole = [f"{item:03d}" for item in range(ITEMS)], np.ones(ITEMS)
    results = [
        ModelScores(model, "udpos", language, tuning, "f1", [ItemScores("udpos", "en", {}, names, right, whole)])
        for model, by_name in (("base", base), ("trained", trained))
        for (language, tuning), right in by_name.items()
    ]
    differences, averages = difference_rows(results, RESAMPLES, 0)
    tables = {"differences": (differences, schema.DIFFERENCES), "averages": (averages, schema.AVERAGES)}
    for name, (rows, columns) in tables.items():
        pq.write_table(pa.Table.from_pylist(rows, schema=columns), folder / f"{name}.parquet")
    items = [pa.Table.from_pydict(item_columns(result, result.scores[0]), schema=schema.ITEMS) for result in results]
    pq.write_table(pa.concat_tables(items), folder / "items.parquet")
    return folder


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[Any]], dict[str, list[Training]]]:
    """Two variants with three trainings each: the answers, and the trainings."""
    root = tmp_path_factory.mktemp("evaluated")
    base = answers(99, 0.5)
    given = {
        name: [answers(seed + offset, share) for seed in range(3)] for name, offset, share in (("a", 0, 0.55), ("b", 10, 0.7))
    }
    trainings = {
        name: [Training(seed, evaluated(root / name / str(seed), base, right), QUESTIONS) for seed, right in enumerate(list_of)]
        for name, list_of in given.items()
    }
    return {**given, "base": [base] * 3}, trainings


def rows_of(tables: SweepTables, variant: str, language: str | None = None) -> dict[str, Any]:
    rows = tables.averages if language is None else [row for row in tables.languages if row["language"] == language]
    (row,) = (row for row in rows if row["variant"] == variant)
    return row


def direct(first: list[Any], second: list[Any], language: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of each training in one language, means over seeds of fine-tuning."""
    both = [[np.mean([right[language, tuning].mean() for tuning in (0, 1)]) for right in side] for side in (first, second)]
    return np.array(both[0]), np.array(both[1])


@pytest.mark.parametrize(("variant", "baseline"), [("a", None), ("b", None), ("b", "a")])
def test_means_and_deviations_are_those_over_trainings(sweep: Any, variant: str, baseline: str | None) -> None:
    given, trainings = sweep
    tables = compare_variants(trainings, baseline, RESAMPLES, 0)
    sides = [direct(given[baseline or "base"], given[variant], language) for language in ("de", "fr")]
    before, after = np.mean(sides, axis=0)
    row = rows_of(tables, variant)
    assert (row["languages"], row["trainings"], row["compared_trainings"]) == (2, 3, 3)
    assert (row["baseline"], row["score"]) == pytest.approx((before.mean(), after.mean()))
    assert (row["difference"], row["difference_deviation"]) == pytest.approx(
        ((after - before).mean(), (after - before).std(ddof=1))
    )
    assert row["score_deviation"] == pytest.approx(after.std(ddof=1))
    german = rows_of(tables, variant, "de")
    assert german["difference"] == pytest.approx((sides[0][1] - sides[0][0]).mean())
    assert german["difference_deviation"] == pytest.approx((sides[0][1] - sides[0][0]).std(ddof=1))


def test_the_test_resamples_items_and_whole_trainings_and_p_is_corrected_over_variants(sweep: Any) -> None:
    given, trainings = sweep
    tables = compare_variants(trainings, None, RESAMPLES, 7)

    def matrix(side: list[Any], language: str) -> ItemMatrix:
        part = np.array([right[language, tuning] for right in side for tuning in (0, 1)])
        return ItemMatrix(part, np.ones_like(part))

    p = {}
    for variant in ("a", "b"):
        pooled = [compare(matrix(given["base"], name), matrix(given[variant], name), RESAMPLES, 7, 3) for name in ("de", "fr")]
        row, p[variant] = rows_of(tables, variant), mean(pooled).p_value()
        assert (row["low"], row["high"]) == pytest.approx(mean(pooled).confidence_interval())
        assert row["p"] == p[variant]
    corrected = holm(list(p.values()))
    assert [rows_of(tables, variant)["corrected"] for variant in p] == corrected
    assert rows_of(tables, "b")["significant"]
    assert max(corrected) > max(p["a"], p["b"]) - 1e-9


def test_trainings_are_resampled_as_a_whole() -> None:
    """With equal items, only trainings vary: the interval is that of resampled training means, not of all rows."""
    shares = np.array([[30, 40], [32, 42], [50, 60]])  # trainings × seeds of fine-tuning
    trained = ItemMatrix(*(np.array([(np.arange(100) < count).astype(float) for count in shares.ravel()]), np.ones((6, 100))))
    base = ItemMatrix(np.zeros((6, 100)), np.ones((6, 100)))
    # Each item is right in none or in a part of the rows: exchange of items hardly changes the means of 100 items.
    low, high = compare(base, trained, 4000, 0, 3).confidence_interval()
    drawn = np.random.default_rng(0).choice(shares.mean(1) / 100, (4000, 3)).mean(1)
    spread_of_items = np.sqrt(0.42 * 0.58 / 100)
    assert high - low == pytest.approx(3.92 * np.hypot(drawn.std(), spread_of_items), rel=0.2)
    assert compare(base, trained, 100, 0, 3).base.shape == (3,)


def test_better_and_worse_count_the_tests_of_each_training(sweep: Any) -> None:
    _, trainings = sweep
    tables = compare_variants(trainings, None, RESAMPLES, 0)
    for variant in ("a", "b"):
        own = [pq.read_table(training.evaluated / "averages.parquet").to_pylist()[0] for training in trainings[variant]]
        row = rows_of(tables, variant)
        assert row["better"] == sum(entry["significant"] and entry["difference"] > 0 for entry in own)
        assert row["worse"] == sum(entry["significant"] and entry["difference"] < 0 for entry in own)
    assert rows_of(tables, "b")["better"] > 0
    assert rows_of(tables, "a")["better"] + rows_of(tables, "a")["worse"] < 3, "some differ by chance"


def test_the_baseline_itself_and_a_missing_training_are_not_compared(sweep: Any) -> None:
    _, trainings = sweep
    tables = compare_variants({"a": trainings["a"][:2], "b": trainings["b"]}, "a", RESAMPLES, 0)
    own = rows_of(tables, "a")
    assert (own["trainings"], own["difference"], own["p"], own["significant"]) == (2, None, None, None)
    other = rows_of(tables, "b")
    assert (other["trainings"], other["compared_trainings"]) == (3, 2)
    alone = compare_variants({"a": [], "b": trainings["b"][:1]}, "a", RESAMPLES, 0)
    assert (rows_of(alone, "b")["difference"], rows_of(alone, "b")["score_deviation"]) == (None, None)


def test_only_equal_items_are_compared(sweep: Any) -> None:
    _, trainings = sweep
    other = [Training(t.seed, t.evaluated, {**QUESTIONS, ("udpos", "fr"): "others"}) for t in trainings["b"]]
    row = rows_of(compare_variants({"a": trainings["a"], "b": other}, "a", RESAMPLES, 0), "b")
    assert (row["languages"], row["compared_languages"]) == (2, 1)
    none = [Training(t.seed, t.evaluated, dict.fromkeys(QUESTIONS, "others")) for t in trainings["b"]]
    assert rows_of(compare_variants({"a": trainings["a"], "b": none}, "a", RESAMPLES, 0), "b")["difference"] is None


def test_directions_of_one_score_are_read_together(tmp_path: Path) -> None:
    folder = evaluated(tmp_path / "e", answers(1, 0.5), answers(2, 0.5))
    items = pq.read_table(folder / "items.parquet")
    back = items.set_column(items.schema.get_field_index("direction"), "direction", pa.array(["back"] * len(items)))
    pq.write_table(pa.concat_tables([items, back.cast(schema.ITEMS)]), folder / "items.parquet")
    read = list(read_scores(folder, "trained", "trained"))
    assert len(read) == len(LANGUAGES) * 2
    assert {tuple(scores.direction for scores in result.scores) for result in read} == {("en", "back")}
