"""Formatting of numbers and results."""

from __future__ import annotations

from typing import Any

import pytest

from mlctl.config import Model
from mlctl.reporting import formatting

TITLES = {"sentence-retrieval": "Sentence retrieval", "word-retrieval": "Word retrieval", "xnli": "XNLI", "pawsx": "PAWS-X"}

FROM_SCRATCH = {"origin": "scratch", "published": False, "problem": "", "same_pooling": "equal"}


def row(language: str, low: float, high: float) -> dict[str, Any]:
    test = {"difference": (low + high) / 2, "significant": not low <= 0 <= high}
    return {"task": "sentence-retrieval", "language": language, "zero_shot": True, "low": low, "high": high, **test}


def mean(task: str, base: float, trained: float, significant: bool = True) -> dict[str, Any]:
    return {"task": task, "base": base, "trained": trained, "difference": trained - base, "significant": significant}


MEAN = [mean("sentence-retrieval", 0.031, 0.782)]


def test_the_finding_names_both_figures() -> None:
    summary = formatting.summarise_results([row("fr", 0.1, 0.2), row("de", -0.1, 0.1)], MEAN, TITLES, FROM_SCRATCH)
    assert "78.2%" in summary["sentence"]
    assert "3.1%" in summary["sentence"]
    assert "significantly better in 1 of 2 languages" in summary["detail"]


def test_a_loss_is_said() -> None:
    assert (
        "worse in German"
        in formatting.summarise_results([row("fr", 0.1, 0.2), row("de", -0.2, -0.1)], MEAN, TITLES, FROM_SCRATCH)["detail"]
    )


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.1, 0.2, "significantly better"), (-0.2, -0.1, "significantly worse"), (-0.1, 0.1, "no significant difference")],
)
def test_one_language(low: float, high: float, expected: str) -> None:
    assert expected in formatting.summarise_results([row("fr", low, high)], MEAN, TITLES, FROM_SCRATCH)["detail"]


def test_published_benchmarks_are_summed_up_by_their_means() -> None:
    published = [mean("pawsx", 0.5, 0.4), mean("xnli", 0.5, 0.6), mean("udpos", 0.5, 0.6, significant=False)]
    summary = formatting.summarise_results([row("fr", 0.1, 0.2)], [*published, *MEAN], {**TITLES, "udpos": "UDPOS"}, FROM_SCRATCH)
    assert "3.1%" in summary["sentence"], "the held-out pairs come first"
    assert "significantly better on XNLI; significantly worse on PAWS-X; no significant difference on UDPOS." in summary["detail"]


def test_without_held_out_pairs_the_first_benchmark_is_told() -> None:
    summary = formatting.summarise_results([], [mean("xnli", 0.5, 0.6)], TITLES, FROM_SCRATCH)
    assert summary["sentence"] == "XNLI: 60.0% after training, 50.0% before training."
    published = formatting.summarise_results([], [mean("xnli", 0.5, 0.6)], TITLES, {**FROM_SCRATCH, "published": True})
    assert published["sentence"] == "XNLI: 60.0% after training, 50.0% of the base model as published."


def test_nothing_judged() -> None:
    assert formatting.summarise_results([], [], TITLES, FROM_SCRATCH)["sentence"] == "The model was not evaluated."


def test_names_of_what_is_measured() -> None:
    assert [formatting.format_metric(name) for name in ("f1", "agreement", "accuracy")] == ["F1", "1 − AER", "accuracy"]
    assert [formatting.format_p_value(p) for p in (0.0004, 0.0312, 1.0)] == ["< 0.001", "0.031", "1.000"]


def test_what_the_base_is() -> None:
    assert "random weights" in formatting.describe_base(Model())
    assert "mbert before training" in formatting.describe_base(Model(name="mbert"))


def test_figures() -> None:
    assert formatting.format_points(-0.0123) == "−1.2"
    assert formatting.format_number(1234567) == "1,234,567"
    assert [formatting.format_duration(s) for s in (0.31, 59.2, 185, 7800)] == ["0.3 s", "59 s", "3 min 5 s", "2 h 10 min"]
    assert [formatting.format_size(b) for b in (12, 1234, 99_600, 1_234_567, 5 * 10**12)] == [
        "12 B",
        "1.2 kB",
        "100 kB",
        "1.2 MB",
        "5.0 TB",
    ]
    assert [formatting.format_value(v) for v in (None, True, 12345, 0.123456, "x")] == ["–", "True", "12,345", "0.1235", "x"]
    assert formatting.shorten("a" * 500).endswith("…")


VECTORS = {"sentences": "first token of layer 12", "prefix": "query: ", "max_length": 128}
OTHER = {"sentences": "mean over the tokens of layers 1 + 12", "prefix": "", "max_length": None}


@pytest.mark.parametrize(
    ("base", "models", "parts"),
    [
        (
            {"origin": "modules.json", "published": True, "problem": "", "same_pooling": "equal"},
            (VECTORS, VECTORS),
            ["as it was published: first token of layer 12, prompt “query: ”, at most 128 tokens.", "evaluated once"],
        ),
        (
            {"origin": "last layer", "published": True, "problem": "", "same_pooling": "evaluated"},
            (VECTORS, OTHER),
            ["as it was published", "The trained model: mean over the tokens of layers 1 + 12.", "“base, same pooling”"],
        ),
        (
            {"origin": "search", "published": False, "problem": "", "same_pooling": "equal"},
            (OTHER, OTHER),
            ["says nothing about sentence vectors", "among dev pairs: mean over the tokens of layers 1 + 12"],
        ),
        (
            {"origin": "trained", "published": False, "problem": "cannot reproduce Dense", "same_pooling": "equal"},
            (OTHER, OTHER),
            ["not evaluated as it was published: cannot reproduce Dense. Both models: mean"],
        ),
        (
            {"origin": "scratch", "published": False, "problem": "", "same_pooling": "equal"},
            (OTHER, OTHER),
            ["of both models: mean"],
        ),
    ],
)
def test_how_the_base_is_evaluated(base: dict[str, Any], models: tuple[dict[str, Any], ...], parts: list[str]) -> None:
    text = formatting.describe_base_vectors({"base": base, "models": dict(zip(("base", "trained"), models, strict=True))})
    for part in parts:
        assert part in text
