"""A model that training made worse is said to be worse: on the page, in the card, at the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlctl import schema
from mlctl.cli.run import _print_scores
from mlctl.config import Recipe
from mlctl.reporting.card import make_card
from mlctl.reporting.figures import make_figures
from mlctl.reporting.page import render
from mlctl.reporting.regressions import regressions, worse_tasks
from mlctl.reporting.run_summary import RunSummary, score_rows, to_lines, to_markdown

from .conftest import put, records
from .page import Page

TITLES = {"tatoeba": "Tatoeba", "xnli": "XNLI"}


def row(task: str, base: float, trained: float, significant: bool = True, **more: Any) -> dict[str, Any]:
    change = trained - base
    scores = {"base": base, "trained": trained, "difference": change, "low": change - 0.01, "high": change + 0.01}
    return {"task": task, "significant": significant, **scores, **more}


def test_worse_is_what_is_significant_in_the_mean() -> None:
    rows = [row("tatoeba", 0.9, 0.8, language="de", zero_shot=True), row("xnli", 0.8, 0.7, language="en", zero_shot=False)]
    assert worse_tasks(rows, [row("tatoeba", 0.88, 0.825), row("xnli", 0.6, 0.7)], TITLES) == [
        "Tatoeba 88.0 → 82.5 (−5.5, 95% interval −6.5 … −4.5)"
    ]
    assert worse_tasks(rows, [row("tatoeba", 0.88, 0.825, significant=False), row("xnli", 0.6, 0.7)], TITLES) == []
    assert worse_tasks(rows, [], TITLES)[1].startswith("XNLI 80.0 → 70.0"), "a task in English alone"


FALLEN = {"base": 0.88, "trained": 0.825, "difference": -0.055, "low": -0.07, "high": -0.041, "significant": True}
FIGURES = "Tatoeba 88.0 → 82.5 (−5.5, 95% interval −7.0 … −4.1)"


def fallen(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let Tatoeba fall against the model as published, and rise against the same pooling."""
    return [{**row, **FALLEN, "base_same_pooling": 0.72} if row["task"] == "tatoeba" else row for row in rows]


@pytest.fixture(scope="module")
def figures(folders: dict[str, Path], recipe: Recipe) -> dict[str, Any]:
    return make_figures(recipe.report.model_copy(update={"projection": "pca"}), 0, folders)


@pytest.fixture
def worse(figures: dict[str, Any]) -> dict[str, Any]:
    base = {"origin": "modules.json", "published": True, "problem": "", "same_pooling": "evaluated"}
    changed = {name: fallen(figures[name]) for name in ("benchmark", "means")}
    return {**figures, **changed, "protocol": {**figures["protocol"], "base": base}}


def test_page_and_card_say_it_with_the_figures(
    worse: dict[str, Any], recipe: Recipe, folders: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "figures.json").write_text(json.dumps(worse), encoding="utf-8")
    assert regressions(tmp_path) == [FIGURES]
    page, card = render(recipe.report, worse, recipe, records(), folders), make_card(worse, recipe, "")
    head = page[page.index("<header") : page.index("<section")]
    assert 'class="warning bad"' in head
    assert "significantly worse than the base model as published" in head
    assert FIGURES in head
    assert ".bad { color: var(--bad); }" in page
    table = Page(page).part("benchmark")
    assert "base as publishedbase, same poolingtrained" in table
    assert "88.0%72.0%82.5%−5.5*" in table
    assert "15.0%equal60.0%" in table, "a task whose second column would be the first again"
    assert f"**The trained model is significantly worse than the base model: {FIGURES}.**" in card
    assert "| task | metric | languages | base as published | base, same pooling | trained | difference, 95% interval |" in card


def test_nothing_is_said_where_nothing_fell(figures: dict[str, Any], recipe: Recipe) -> None:
    card = make_card(figures, recipe, "")
    assert "significantly worse than" not in card
    assert "same pooling" not in card


def test_a_module_that_cannot_be_reproduced_is_in_the_card(figures: dict[str, Any], recipe: Recipe) -> None:
    base = {"origin": "trained", "published": False, "problem": "mlctl cannot reproduce Dense", "same_pooling": "equal"}
    changed = {**figures, "protocol": {**figures["protocol"], "base": base}}
    assert "not evaluated as it was published: mlctl cannot reproduce Dense" in make_card(changed, recipe, "")


def test_the_terminal_says_it(
    worse: dict[str, Any], folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, rows, fields in (
        ("averages", worse["means"], schema.AVERAGES),
        ("differences", worse["benchmark"], schema.DIFFERENCES),
    ):
        put(tmp_path / f"{name}.parquet", rows, fields)
    (tmp_path / "protocol.json").write_text(json.dumps(worse["protocol"]), encoding="utf-8")
    _print_scores(tmp_path)
    text = capsys.readouterr().out
    assert f"the trained model is significantly worse than the base model: {FIGURES}" in text
    assert "base model as published against trained model" in text
    assert "* the base model with the trained model's pooling" in text
    assert max(len(line) for line in text.splitlines() if "worse" not in line) <= 80
    _print_scores(folders["evaluate"])
    text = capsys.readouterr().out
    assert "worse" not in text
    assert "pooling" not in text


def test_the_summary_of_a_run_says_it(worse: dict[str, Any], tmp_path: Path) -> None:
    for name, rows, fields in (
        ("averages", worse["means"], schema.AVERAGES),
        ("differences", worse["benchmark"], schema.DIFFERENCES),
    ):
        put(tmp_path / f"{name}.parquet", rows, fields)
    (tmp_path / "protocol.json").write_text(json.dumps(worse["protocol"]), encoding="utf-8")
    summary = RunSummary("tiny", scores=score_rows(tmp_path), worse=[FIGURES])
    assert any(FIGURES in line for line in to_lines(summary))
    assert FIGURES in to_markdown(summary)
    assert "base, same pooling" in to_markdown(summary)
