"""The comparison page of several runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from mlctl.reporting import run_comparison_page
from mlctl.reporting.run_comparison_page import ComparedRun, Paired, setting_rows

from .conftest import HOSTILE, STAGES, differences, records, write_training
from .page import Page, values


def run(name: str, folders: dict[str, Path], **settings: Any) -> ComparedRun:
    return ComparedRun(name, f"id of {name}", {"seed": 0, "train": {"steps": 400, **settings}}, records(), folders)


def against_first() -> Paired:
    rows = [row for row in differences() if row["task"] in {"xnli", "tatoeba"} and row["language"] != "de"]
    mean = {**rows[0], "languages": 1}
    return Paired(rows, [mean], [("tatoeba", "de")])


@pytest.fixture(scope="module")
def page(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Page:
    other = tmp_path_factory.mktemp("other")
    write_training(other, 200)
    runs = [run("one", folders), run(f"two {HOSTILE}", {**folders, "train": other}, steps=200, loss="info-nce")]
    return Page(run_comparison_page.render(runs, [against_first()]))


def test_every_section_is_there(page: Page) -> None:
    assert list(page.sections) == ["runs", "settings", "benchmark", "languages", "training", "data", "costs", "versions"]
    assert "id of one" in page.part("runs")


def test_settings_that_differ() -> None:
    first, second = {"seed": 0, "train": {"steps": 4, "loss": "a"}}, {"seed": 0, "train": {"steps": 5, "loss": "a", "new": [1]}}
    assert setting_rows([first, second]) == [("train.steps", [4, 5]), ("train.new", [None, [1]])]
    assert setting_rows([first, first]) == []


def test_settings_figures_and_costs_stand_side_by_side(page: Page) -> None:
    assert page.part("settings").endswith("train.steps400200train.loss–info-nce")
    assert "Tatoeba accuracy37.5%47.5%47.5%−5.0* −8.0 to −2.0" in page.part("benchmark"), "one base, two trained models"
    assert "Swahili sw20.0%20.0%−5.0* −8.0 to −2.0, p 0.001" in page.part("languages")
    assert "train1 min 2 s 100 kBsame as A" in page.part("costs")
    assert "The runs have different base models" not in page.text


def test_what_was_asked_otherwise_is_said(page: Page) -> None:
    assert "B is not comparable with A (other items, seeds or protocol) on: Tatoeba German." in page.text


def test_charts(page: Page) -> None:
    names = {attributes["data-chart"] for _, attributes in page.tags if "data-chart" in attributes}
    assert names == set(page.charts())
    curves = {
        f"curve-{name}" for name in ("sentence-retrieval", "word-retrieval", "loss", "contrastive", "learning-rate", "speed")
    }
    assert names == {"heat-B", "against-tatoeba", "against-xnli", *curves}
    steps = {name: max(row["step"] for row in values(page.charts()["curve-loss"]) if row["run"] == name) for name in "AB"}
    assert steps == {"A": 400, "B": 200}, "over each other"


def test_text_from_data_is_never_markup(page: Page) -> None:
    assert HOSTILE in page.text
    assert [tag for tag, _ in page.tags].count("script") == 4


def test_three_runs_and_bases_that_differ(folders: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "evaluate"
    shutil.copytree(folders["evaluate"], other)
    protocol = (other / "protocol.json").read_text(encoding="utf-8")
    (other / "protocol.json").write_text(
        protocol.replace("mean over the tokens of layer 2", "first token of layer 2"), encoding="utf-8"
    )
    runs = [run("one", folders), run("two", folders), run("three", {**folders, "evaluate": other})]
    page = Page(run_comparison_page.render(runs, [Paired([], [], []), against_first()]))
    assert {"heat-C", "against-xnli"} <= set(page.charts())
    assert "The runs have different base models" in page.text
    assert "37.5% → 47.5%" in page.part("benchmark")
    assert len(records()) == len(STAGES)


def test_nothing_asked_alike(folders: dict[str, Path]) -> None:
    page = Page(run_comparison_page.render([run("one", folders), run("one", folders)], [Paired([], [], [])]))
    assert "No run was evaluated on the same items as A." in page.part("languages")
    assert "None: all recipes have the same settings." in page.part("settings")
