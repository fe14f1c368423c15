"""Corpora, licences and evaluation sets on the page."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl.config import Licences, Recipe, Report
from mlctl.reporting import attribution
from mlctl.reporting.card import make_card, make_notice
from mlctl.reporting.figures import make_figures
from mlctl.reporting.page import render

from .conftest import records, write_results

SET = {
    "name": "xnli <test>",
    "files": ["test-en.tsv.gz", "test-fr.tsv.gz"],
    "sentences": 5010,
    "passages": 9000,
    "pairs": {"fr": {"text": 3, "passage": 2, "dropped": 4}, "ar": {"text": 1, "passage": 0, "dropped": 1}},
}


@pytest.fixture
def folders_with_corpora(tmp_path: Path) -> dict[str, Path]:
    """Results with three corpora, two of them trained on, and one evaluation set."""
    folders = write_results(tmp_path)
    corpora = [
        {"corpus": "small", "version": "", "licence": "MIT", "stated_licence": "MIT License", "address": "small==1"},
        {"corpus": "big", "version": "v2", "licence": "LicenseRef-BSD", "stated_licence": "BSD", "address": "big.en, big.fr"},
        {"corpus": "unused", "version": "v1", "licence": "unknown", "stated_licence": "unknown", "address": "x"},
    ]
    rest = {"kind": "files", "sha256": "00", "pairs": {"fr": 8}, "untranslated": {}}
    (folders["download"] / "provenance.json").write_text(json.dumps([corpus | rest for corpus in corpora]))
    (folders["shard"] / "train").mkdir()
    for number, names in enumerate((["big"] * 3 + ["small"], ["big"] * 1200)):
        pq.write_table(
            pa.table({"corpus": names, "target_language": ["fr"] * len(names)}),
            folders["shard"] / "train" / f"{number:05d}.parquet",
        )
    (folders["shard"] / "decontamination.json").write_text(json.dumps({"checked": True, "sets": [SET]}))
    return folders


def page(folders: dict[str, Path], recipe: Recipe) -> str:
    return render(Report(), make_figures(Report(), 0, folders), recipe, records(), folders)


def test_the_notice_names_what_was_trained_on(folders_with_corpora: dict[str, Path], recipe: Recipe) -> None:
    rows = attribution.attribution_rows(folders_with_corpora)
    assert [(row["corpus"], row["training_rows"], row["clear"]) for row in rows] == [
        ("small", 1, True),
        ("big", 1203, False),
        ("unused", 0, False),
    ]
    assert attribution.attribution_text(rows).splitlines()[4:] == [
        "- big v2 (LicenseRef-BSD, stated as “BSD”): big.en, big.fr; 1,203 sentence pairs",
        "- small (MIT, stated as “MIT License”): small==1; 1 sentence pairs",
    ]
    assert attribution.attribution_text([]) == ""
    card = make_card(make_figures(Report(), 0, folders_with_corpora), recipe, make_notice(recipe, folders_with_corpora))
    assert attribution.attribution_text(rows) in card
    assert " 5 pairs were dropped" in card


def test_evaluation_sets_are_counted_over_languages(folders_with_corpora: dict[str, Path]) -> None:
    decontaminated = attribution.decontamination(folders_with_corpora["shard"])
    (row,) = attribution.decontamination_rows(decontaminated)
    assert (row["text"], row["passage"], row["dropped"], row["sentences"]) == (4, 2, 5, 5010)
    assert attribution.decontamination_text(decontaminated).startswith("5 pairs were dropped")
    assert make_figures(Report(), 0, folders_with_corpora)["decontamination"] == decontaminated


def test_the_page_tells_licences_and_sets(folders_with_corpora: dict[str, Path]) -> None:
    text = page(folders_with_corpora, Recipe(licences=Licences(allow=("MIT", "LicenseRef-BSD"))))
    for words in (
        "allows only text under MIT, LicenseRef-BSD",
        "xnli &lt;test&gt;",
        "## Attribution",
        "5,010",
        "1,203",
    ):
        assert words in text


def test_a_run_that_did_not_check_says_so(folders: dict[str, Path]) -> None:
    text = page(folders, Recipe())
    assert "Not decontaminated: the recipe names no benchmark" in text
    assert "text of any licence was used" in text
