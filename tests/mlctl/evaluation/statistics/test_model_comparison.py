"""Tables of a fine-tuned task: seeds, English, items that only one model has."""

from __future__ import annotations

import numpy as np
import pytest

from mlctl.evaluation.metrics.item_scores import ItemScores, accuracy_scores, ratio_of_sums
from mlctl.evaluation.statistics.model_comparison import ModelScores, difference_rows, score_rows


def accuracy_result(model: str, language: str, seed: int, hits: list[int]) -> ModelScores:
    outcome = accuracy_scores("xnli", f"en→{language}", np.array(hits, bool), [str(n) for n in range(len(hits))])
    return ModelScores(model, "xnli", language, seed, "accuracy", [outcome])


def f1_result(model: str, items: dict[str, tuple[float, float]]) -> ModelScores:
    part, whole = (np.array(column, np.float32) for column in zip(*items.values(), strict=True))
    return ModelScores(
        model,
        "bucc",
        "de",
        None,
        "f1",
        [ItemScores("bucc", "de→en", {"f1": ratio_of_sums(part, whole)}, list(items), part, whole)],
    )


def test_means_and_deviations_over_seeds_with_english_apart() -> None:
    results = [accuracy_result("base", language, seed, [1, 0, seed, 0]) for language in ("en", "sw", "de") for seed in (0, 1)]
    results += [
        accuracy_result("trained", language, seed, [1, 1, seed, language == "sw"])
        for language in ("en", "sw", "de")
        for seed in (1, 0)
    ]
    differences, (average,) = difference_rows(results, 200, 0)
    rows = {row["language"]: row for row in differences}
    assert [(language, row["zero_shot"]) for language, row in rows.items()] == [("de", True), ("en", False), ("sw", True)]
    assert (rows["de"]["base"], rows["de"]["trained"], rows["sw"]["trained"]) == (0.375, 0.625, 0.875)
    assert rows["de"]["base_deviation"] == pytest.approx(np.std([0.25, 0.5], ddof=1))
    assert (rows["de"]["seeds"], rows["de"]["items"]) == (2, 4)
    assert (average["languages"], average["base"], average["trained"]) == (2, 0.375, 0.75)
    assert average["trained_deviation"] == pytest.approx(np.std([0.625, 0.875], ddof=1))
    assert [row["seed"] for row in score_rows(results)][:4] == [0, 1, 0, 1]


def test_seeds_are_compared_with_the_same_seed() -> None:
    """Equal scores of each seed are no difference, in any order of the seeds."""
    results = [accuracy_result(model, "sw", seed, [1] * 20 if seed else [0] * 20) for model, seeds in (("base", (0, 1)), ("trained", (1, 0))) for seed in seeds]  # fmt: skip
    ((row,), _) = difference_rows(results, 200, 0)
    assert (row["low"], row["high"], row["p"], row["significant"]) == (0.0, 0.0, 1.0, False)


def test_an_item_that_one_model_says_nothing_of_adds_nothing_there() -> None:
    base, trained = {"a": (2.0, 2.0), "b": (0.0, 1.0)}, {"a": (2.0, 2.0), "c": (0.0, 1.0)}
    ((row,), _) = difference_rows([f1_result("base", base), f1_result("trained", trained)], 100, 0)
    assert (row["items"], row["base"], row["trained"]) == (3, pytest.approx(2 / 3), pytest.approx(2 / 3))
