"""What components are worth, against direct formulas and in simulations of models that differ by chance alone, on made evaluate results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from mlctl import schema
from mlctl.evaluation.metrics.item_scores import ItemScores
from mlctl.evaluation.statistics.ledger_comparison import ComparedComponent, LedgerTables, compare_components, training_test
from mlctl.evaluation.statistics.model_comparison import ModelScores, difference_rows, item_columns
from mlctl.evaluation.statistics.paired_tests import holm

ITEMS, RESAMPLES = 80, 400
Shares = dict[str, tuple[float, float]]


def challenge(folder: Path, seed: int, shares: Shares) -> Path:
    """Write an evaluation of two models: shares of right items without and with the component, by language."""
    folder.mkdir(parents=True)
    random, names, whole = np.random.default_rng(seed), [f"{item:03d}" for item in range(ITEMS)], np.ones(ITEMS)
    results = []
    for language, both in shares.items():
        drawn = random.random(ITEMS)  # the same items are hard for both models
        for model, share in zip(("base", "trained"), both, strict=True):
            right = ((drawn + 0.1 * random.random(ITEMS)) < share).astype(float)
            scores = [ItemScores("word-retrieval", f"en→{language}", {}, names, right, whole)]
            results.append(ModelScores(model, "word-retrieval", language, None, "accuracy", scores))
    differences, averages = difference_rows(results, RESAMPLES, 0)
    for name, rows, columns in (("differences", differences, schema.DIFFERENCES), ("averages", averages, schema.AVERAGES)):
        pq.write_table(pa.Table.from_pylist(rows, schema=columns), folder / f"{name}.parquet")
    items = [pa.Table.from_pydict(item_columns(result, result.scores[0]), schema=schema.ITEMS) for result in results]
    pq.write_table(pa.concat_tables(items), folder / "items.parquet")
    return folder


def component(root: Path, name: str, seeds: list[Shares], language: str | None = None) -> ComparedComponent:
    folders = {seed: challenge(root / name / str(seed), 100 + seed, shares) for seed, shares in enumerate(seeds)}
    return ComparedComponent(name, folders, language)


def verdicts(tables: LedgerTables) -> dict[tuple[str, str], str]:
    return {(row["variant"], row["scope"]): row["verdict"] for row in tables.gains}


def test_what_helps_harms_and_changes_nothing_is_told_apart(tmp_path: Path) -> None:
    components = [
        component(tmp_path, "useful", [{"fr": (0.3, 0.7)}, {"fr": (0.32, 0.7)}, {"fr": (0.29, 0.72)}]),
        component(tmp_path, "useless", [{"fr": (0.6, 0.6)}, {"fr": (0.62, 0.6)}, {"fr": (0.6, 0.63)}]),
        component(tmp_path, "harmful", [{"fr": (0.7, 0.4)}, {"fr": (0.7, 0.41)}, {"fr": (0.68, 0.4)}]),
    ]
    tables = compare_components(components, RESAMPLES, 0)
    assert verdicts(tables) == {("useful", "all"): "helps", ("useless", "all"): "no difference", ("harmful", "all"): "harms"}
    (useful,) = (row for row in tables.gains if row["variant"] == "useful")
    differences = [row["difference"] for row in tables.trainings if row["variant"] == "useful" and row["language"] is None]
    assert (useful["difference"], useful["difference_deviation"]) == pytest.approx(
        (np.mean(differences), np.std(differences, ddof=1))
    )


def test_p_and_interval_cover_items_and_trainings_and_p_is_corrected(tmp_path: Path) -> None:
    seeds = [{"fr": (0.5, 0.5 + gain)} for gain in (0.08, 0.2, 0.12)]
    tables = compare_components([component(tmp_path, "a", seeds), component(tmp_path, "b", seeds[::-1])], RESAMPLES, 0)
    for row in tables.gains:
        differences = [
            one["difference"] for one in tables.trainings if one["variant"] == row["variant"] and one["language"] is None
        ]
        expected = stats.ttest_1samp(differences, 0)
        interval = expected.confidence_interval(0.95)
        assert row["p"] >= expected.pvalue - 1e-12
        assert row["low"] <= interval.low + 1e-12
        assert row["high"] >= interval.high - 1e-12
    assert [row["corrected"] for row in tables.gains] == holm([row["p"] for row in tables.gains])


def test_what_one_component_alone_would_show_is_no_difference_among_many(tmp_path: Path) -> None:
    seeds: list[Shares] = [{"fr": (0.4, 0.4 + gain)} for gain in (0.2, 0.3, 0.25)]
    (alone,) = compare_components([component(tmp_path, "alone", seeds)], RESAMPLES, 0).gains
    assert (alone["verdict"], alone["corrected"]) == ("helps", alone["p"])
    among = compare_components([component(tmp_path, f"{number}", seeds) for number in range(8)], RESAMPLES, 0).gains
    assert {row["p"] for row in among} == {alone["p"]}
    assert {row["verdict"] for row in among} == {"no difference"}


def test_the_test_over_trainings_is_students() -> None:
    values = [0.1, 0.15, 0.02, 0.2]
    expected = stats.ttest_1samp(values, 0)
    assert training_test(values) == pytest.approx((expected.pvalue, *expected.confidence_interval(0.95)))
    assert training_test([0.1, 0.1]) == (0.0, 0.1, 0.1)
    assert training_test([0.0, 0.0]) == (1.0, 0.0, 0.0)


@pytest.mark.slow
def test_models_that_differ_by_their_seeds_alone_are_rarely_called_different(tmp_path: Path) -> None:
    """Three trainings that all happen to be better (one case in four by chance of either sign) are no evidence by themselves."""
    random, wrong, trials = np.random.default_rng(0), 0, 40
    for trial in range(trials):
        seeds: list[Shares] = [{"fr": tuple(random.normal(0.5, 0.08, 2))} for _ in range(3)]  # type: ignore[dict-item]
        tables = compare_components([component(tmp_path, f"{trial}", seeds)], 200, 0)
        wrong += verdicts(tables)[f"{trial}", "all"] != "no difference"
    assert wrong / trials <= 0.1


def test_a_language_is_judged_in_the_others_and_in_itself(tmp_path: Path) -> None:
    seeds: list[Shares] = [
        {"de": (0.2, 0.8), "fr": (0.6, 0.45), "fi": (0.62, 0.5)},
        {"de": (0.2, 0.82), "fr": (0.62, 0.45), "fi": (0.6, 0.46)},
    ]
    seeds.append({"de": (0.22, 0.8), "fr": (0.61, 0.46), "fi": (0.6, 0.47)})
    tables = compare_components([component(tmp_path, "de", seeds, "de")], RESAMPLES, 0)
    assert verdicts(tables) == {("de", "others"): "harms", ("de", "itself"): "helps"}
    others, itself = tables.gains
    assert (others["languages"], itself["languages"]) == (2, 1)
    by_language = {row["language"]: row for row in tables.languages}
    assert set(by_language) == {"de", "fr", "fi"}
    assert others["difference"] == pytest.approx(np.mean([by_language[name]["difference"] for name in ("fr", "fi")]))
    assert others["score"] == pytest.approx(np.mean([by_language[name]["score"] for name in ("fr", "fi")]))
    assert itself["difference"] == pytest.approx(by_language["de"]["difference"])


def test_one_training_gets_no_verdict(tmp_path: Path) -> None:
    tables = compare_components([component(tmp_path, "a", [{"fr": (0.2, 0.9)}])], RESAMPLES, 0)
    (row,) = tables.gains
    assert (row["verdict"], row["p"], row["significant"]) == ("not tested", None, None)
    assert row["difference"] > 0.5


def test_nothing_compared_has_no_rows() -> None:
    found: Any = compare_components([], RESAMPLES, 0)
    assert (found.gains, found.languages, found.trainings) == ([], [], [])
