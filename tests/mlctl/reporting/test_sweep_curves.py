"""Curves of a sweep that varies one number."""

from __future__ import annotations

from typing import Any

import pytest

from mlctl.reporting import sweep_page
from mlctl.reporting.sweep_curves import curve_charts, find_axis

from .page import Page


def figures(*settings: dict[str, Any], baseline: str = "base") -> dict[str, Any]:
    """The content of sweep.json, as far as the page reads it; difference n of variant n is n points."""
    variants = [{"name": f"v{n}", "settings": of, "seeds": [0], "failed": []} for n, of in enumerate(settings)]
    row = {
        "metric": "f1",
        "languages": 3,
        "compared_languages": 3,
        "trainings": 1,
        "compared_trainings": 1,
        "better": 0,
        "worse": 0,
    }
    scores = {"baseline": 0.5, "baseline_deviation": None, "score": 0.6, "score_deviation": None, "difference_deviation": None}
    averages = [
        {
            **row,
            **scores,
            "variant": f"v{n}",
            "task": task,
            "difference": n / 100,
            "low": (n - 1) / 100,
            "high": (n + 1) / 100,
            "p": 0.01,
            "corrected": 0.02,
            "significant": True,
        }
        for task in ("udpos", "tatoeba")
        for n in range(len(settings))
    ]
    texts = {"name": "budget", "recipe": "refine", "baseline": baseline, "titles": {"udpos": "UDPOS", "tatoeba": "Tatoeba"}}
    return {**texts, "variants": variants, "averages": averages, "languages": [], "trainings": [], "seeds": [0]}


def test_a_page_draws_each_task_against_the_setting_in_order() -> None:
    page = Page(sweep_page.render(figures({"train.steps": 300}, {"train.steps": 30}, {"train.steps": 100})))
    charts = page.charts()
    assert set(charts) == {"curve-udpos", "curve-tatoeba"}
    values = next(layer["data"]["values"] for layer in charts["curve-udpos"]["layer"] if len(layer["data"]["values"]) > 1)
    found = [(round(value["x"]), *(round(value[name]) for name in ("low", "difference", "high"))) for value in values]
    assert found == [(30, 0, 1, 2), (100, 1, 2, 3), (300, -1, 0, 1)]
    assert {attributes["data-chart"] for _, attributes in page.tags if "data-chart" in attributes} == set(charts)
    assert "train.steps" in page.text


@pytest.mark.parametrize(
    "settings",
    [
        ({"train.steps": 30}, {"train.steps": 100}),
        ({"train.steps": 30}, {"train.steps": 100}, {"train.loss": "info-nce"}),
        ({"train.steps": 30}, {"train.steps": 100}, {"train.steps": 300, "train.loss": "info-nce"}),
        ({"train.loss": "a"}, {"train.loss": "b"}, {"train.loss": "c"}),
        ({"train.steps": 30}, {"train.steps": 100}, {}),
    ],
    ids=["two values", "two settings", "a second setting", "no numbers", "the recipe itself"],
)
def test_without_one_number_that_varies_there_is_no_curve(settings: tuple[dict[str, Any], ...]) -> None:
    found = figures(*settings)
    assert find_axis(found) is None
    assert curve_charts(found) == {}
    page = Page(sweep_page.render(found))
    assert "curves" not in page.sections


def test_a_list_counts_and_a_wide_axis_is_logarithmic() -> None:
    axis = find_axis(figures(*({"languages.targets": ["de", "fr", "ru", "zh"][:count]} for count in (1, 2, 4))))
    assert axis is not None
    assert (list(axis.values.values()), axis.is_logarithmic) == ([1, 2, 4], False)
    wide = find_axis(figures({"train.frozen_layers": 0}, {"train.frozen_layers": 6}, {"train.frozen_layers": 12}))
    assert wide is not None
    assert not wide.is_logarithmic, "0 has no logarithm"
    steps = find_axis(figures(*({"train.steps": count} for count in (30, 100, 300))))
    assert steps is not None
    assert steps.is_logarithmic
