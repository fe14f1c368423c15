"""Alignment tables of the report: statistics, fertility, the strongest lexicon entries."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlctl.reporting import alignment

from .conftest import HOSTILE, write_results


@pytest.fixture
def align(tmp_path: Path) -> Path:
    return write_results(tmp_path)["align"]


def test_figures_of_each_language_without_lists(align: Path) -> None:
    assert alignment.summary_rows(align) == [
        {"language": language, "pairs": 8, "links_per_pair": 2.5} for language in ("fr", "ar")
    ]
    assert alignment.summary_rows(None) == alignment.fertility_rows(None) == []


def test_words_by_their_links_on_each_side(align: Path) -> None:
    rows = alignment.fertility_rows(align)
    assert [(row["language"], row["side"]) for row in rows] == [
        (language, side) for language in ("fr", "ar") for side in ("source", "target")
    ]
    assert rows[0]["shares"] == [0.25, 0.5, 0.125, 0.125]


def test_the_lexicon_begins_with_what_is_linked_often_and_to_nothing_else(align: Path) -> None:
    (french, rows), _ = alignment.lexicon_rows(align, ("fr", "de", "ar"), 2)
    assert french == "fr"
    assert [(row["source"], row["target"]) for row in rows] == [("bread", "pain"), (f"b{HOSTILE}", "b")]  # no signs
    assert alignment.lexicon_rows(None, ("fr",), 2) == []
