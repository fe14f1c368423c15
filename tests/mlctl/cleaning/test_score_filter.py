"""The limits of scores: thresholds, percentiles, languages; and what the report shows of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.cleaning.score_filter import ScoreFilter, reasons
from mlctl.config import Clean
from mlctl.schema import SCORE_EXAMPLES, SCORE_HISTOGRAM

PARTS = st.lists(st.lists(st.just(np.nan) | st.floats(-5, 5, width=32), max_size=30), min_size=1, max_size=4)


def arrays(parts: list[list[float]]) -> list[dict[str, np.ndarray]]:
    return [{"q": np.array(part, np.float32)} for part in parts]


def texts(count: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([f"text {n}" for n in range(count)], pa.string())])


def apply(parts: list[list[float]], language: str = "fr", **limits: object) -> tuple[list[bool], ScoreFilter]:
    settings = Clean.model_validate({"scores": {"q": {"kind": "corpus", **limits}}})
    scores = arrays(parts)
    score_filter = ScoreFilter(settings, language, lambda: iter(scores))
    dropped: list[bool] = []
    for part in scores:
        masks = score_filter.apply(part, texts(len(part["q"])), texts(len(part["q"])))
        dropped += masks.get("score q", np.zeros(len(part["q"]), bool)).tolist()
    return dropped, score_filter


@given(PARTS, st.integers(0, 999))
def test_a_percentile_drops_the_lowest_of_all_parts_and_keeps_ties(parts: list[list[float]], permille: int) -> None:
    dropped, _ = apply(parts, min_percentile=permille / 10)
    values = np.array([value for part in parts for value in part], np.float32)
    scored = np.sort(values[~np.isnan(values)])
    allowed = len(scored) * permille // 1000
    expected = values < scored[allowed] if len(scored) else np.zeros(len(values), bool)
    assert dropped == expected.tolist()
    assert sum(dropped) <= allowed
    if len(set(scored.tolist())) == len(scored):
        assert sum(dropped) == allowed


@given(PARTS, st.floats(-5, 5, width=32))
def test_a_threshold_keeps_equal_scores_and_pairs_without(parts: list[list[float]], least: float) -> None:
    dropped, score_filter = apply(parts, min=least)
    values = np.array([value for part in parts for value in part], np.float32)
    assert dropped == [value < least for value in values.tolist()]
    histogram = score_filter.histogram()
    assert histogram.schema.equals(SCORE_HISTOGRAM)
    assert sum(histogram["pairs"].to_pylist()) == (~np.isnan(values)).sum()


def test_of_two_limits_the_higher_one_cuts() -> None:
    parts = [[1.0, 2.0, 3.0, 4.0]]
    assert apply(parts, min=2.5, min_percentile=25)[0] == [True, True, False, False]
    assert apply(parts, min=1.5, min_percentile=75)[0] == [True, True, True, False]


def test_a_language_has_its_own_limits() -> None:
    limits = {"min": 2.0, "by_language": {"de": {"min_percentile": 75}, "ja": {}}}
    for language, expected in (("fr", [True, False, False]), ("de", [True, True, False]), ("ja", [False] * 3)):
        assert apply([[1.0, 2.0, 3.0]], language, **limits)[0] == expected


@given(PARTS, st.floats(-5, 5, width=32))
def test_examples_are_the_nearest_to_the_cut_on_both_sides(parts: list[list[float]], least: float) -> None:
    _, score_filter = apply(parts, min=least)
    table = score_filter.examples()
    assert table.schema.equals(SCORE_EXAMPLES)
    values = sorted(value for part in parts for value in np.array(part, np.float32).tolist() if not np.isnan(value))
    kept = [value + 0.0 for value in values if value >= np.float32(least)][:5]
    dropped = [value for value in values if value < np.float32(least)][-5:]
    rows = table.to_pylist()
    assert [row["value"] for row in rows if row["kept"]] == kept[::-1]
    assert [row["value"] for row in rows if not row["kept"]] == dropped[::-1]


def test_reasons_name_what_scores_and_what_is_dropped() -> None:
    scores = {
        "seen": {"kind": "lexicon"},
        "e5": {"kind": "encoder", "model": "a/b", "metric": "margin", "min": 1.02, "by_language": {"de": {"min_percentile": 5}}},
        "laser": {"kind": "corpus", "min": 1, "min_percentile": 2.5},
    }
    assert reasons(Clean.model_validate({"scores": scores})) == {
        "score e5": "the score encoder of a/b (margin) is below 1.02; de: among the lowest 5% of the language",
        "score laser": "the score corpus is below 1 or among the lowest 2.5% of the language",
    }


@pytest.mark.parametrize("value", [0.0, -0.0])
def test_zeros_of_both_signs_are_equal(value: float) -> None:
    assert apply([[0.0, -0.0, value, 1.0]], min_percentile=25)[0] == [False] * 4
