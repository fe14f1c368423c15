"""Figures and findings in words."""

from __future__ import annotations

from typing import Any

import pytest

from mlctl.config import Model
from mlctl.reporting import wording


def row(language: str, low: float, high: float) -> dict[str, Any]:
    sure = {"difference": (low + high) / 2, "significant": not low <= 0 <= high}
    return {"task": "sentence-retrieval", "language": language, "low": low, "high": high, **sure}


MEAN = [{"task": "sentence-retrieval", "base": 0.031, "trained": 0.782, "languages": 2}]


def test_the_finding_names_both_figures() -> None:
    found = wording.finding([row("fr", 0.1, 0.2), row("de", -0.1, 0.1)], MEAN)
    assert "78.2%" in found["sentence"]
    assert "3.1%" in found["sentence"]
    assert "better beyond chance in 1 of 2 languages" in found["detail"]


def test_a_loss_is_said() -> None:
    assert "worse in German" in wording.finding([row("fr", 0.1, 0.2), row("de", -0.2, -0.1)], MEAN)["detail"]


@pytest.mark.parametrize(("low", "high", "said"), [(0.1, 0.2, "better"), (-0.2, -0.1, "worse"), (-0.1, 0.1, "may be chance")])
def test_one_language(low: float, high: float, said: str) -> None:
    assert said in wording.finding([row("fr", low, high)], MEAN)["detail"]


def test_nothing_judged() -> None:
    assert wording.finding([], [])["sentence"] == "Nothing was judged."


def test_what_the_base_is() -> None:
    assert "random weights" in wording.base_is(Model())
    assert "mbert as it was" in wording.base_is(Model(name="mbert"))


def test_figures() -> None:
    assert wording.points(-0.0123) == "−1.2"
    assert wording.number(1234567) == "1,234,567"
    assert [wording.duration(s) for s in (0.31, 59.2, 185, 7800)] == ["0.3 s", "59 s", "3 min 5 s", "2 h 10 min"]
    assert [wording.size(b) for b in (12, 1234, 99_600, 1_234_567, 5 * 10**12)] == [
        "12 B",
        "1.2 kB",
        "100 kB",
        "1.2 MB",
        "5.0 TB",
    ]
    assert [wording.figure(v) for v in (None, True, 12345, 0.123456, "x")] == ["–", "True", "12,345", "0.1235", "x"]
    assert wording.shortened("a" * 500).endswith("…")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("first-and-last", "the first and the last layer"),
        ("last", "the last layer"),
        ("all", "all layers"),
        ((8,), "layer 8"),
        ((8, 1, 4), "layers 1, 4 and 8"),
    ],
)
def test_layers(given: str | tuple[int, ...], said: str) -> None:
    assert wording.layers(given) == said
