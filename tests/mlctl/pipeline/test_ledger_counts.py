"""Rows by component, and what a component costs by the manifests of two recipes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mlctl.pipeline.ledger_components import Component, KnownText
from mlctl.pipeline.ledger_counts import TextCounts, cost
from storage import Manifest, Result


def results(seconds: dict[str, float], **metrics: Any) -> dict[str, Result]:
    """Return results whose keys tell how long they took."""
    return {
        stage: Result(Path(), Manifest(stage, f"{stage} {taken}", {}, {}, (), metrics, {}, taken, ""))
        for stage, taken in seconds.items()
    }


FULL = {"clean": 10.0, "align": 30.0, "shard": 5.0, "train": 100.0}


def test_shared_stages_cost_nothing_and_the_others_their_difference() -> None:
    without = {"clean": 10.0, "align": 20.0, "shard": 6.0, "train": 90.0}
    found = cost([results(FULL), results({**FULL, "train": 110.0})], [results(without), results({**without, "train": 94.0})])
    assert found == {"cpu_seconds": pytest.approx(10 - 1 + (105 - 92)), "gpu_seconds": None}


def test_seconds_on_gpus_are_counted_apart_for_each_gpu() -> None:
    gpus = {"device": "cuda", "processes": 4}
    found = cost([results(FULL, **gpus)], [results({**FULL, "align": 25.0, "train": 80.0}, **gpus)])
    assert found == {"cpu_seconds": 5.0, "gpu_seconds": 80.0}


def record(name: str, licence: str, **pairs: int) -> dict[str, Any]:
    return {"kind": "files", "corpus": name, "licence": licence, "pairs": pairs, "untranslated": {"de": 1}}


COUNTS = TextCounts(
    KnownText(
        [
            [record("news", "MIT", fr=10, de=5)],
            [record("web", "CC0-1.0", fr=20), record("web 2", "MIT", fr=1)],
            [record("news", "MIT", fr=3)],
        ],
        {"script": 2, "chinese variant": 1, "numbers": 4},
    ),
    kept=Counter({("news", "fr"): 8, ("web", "fr"): 15, ("web 2", "fr"): 1, ("news", "de"): 4}),
    trained=Counter({("news", "fr"): 7, ("web", "fr"): 12, ("news", "de"): 3}),
)


def test_rows_and_licences_of_sources_languages_and_rules() -> None:
    web = COUNTS.of(Component("source", "web", number=1))
    assert web == {
        "licences": ["CC0-1.0", "MIT"],
        "corpora": ["web", "web 2"],
        "rows": {"downloaded": 23, "kept": 16, "trained": 12},
    }
    german = COUNTS.of(Component("language", "de"))
    assert german["rows"] == {"downloaded": 9, "kept": 4, "trained": 3}
    assert COUNTS.of(Component("filter", "script, chinese variant", rules=("script", "chinese variant")))["rows"] == {
        "dropped": 3
    }


def test_rows_of_a_corpus_that_two_sources_have_are_not_told_apart() -> None:
    assert COUNTS.of(Component("source", "news", number=0))["rows"] == {"downloaded": 16, "kept": None, "trained": None}
