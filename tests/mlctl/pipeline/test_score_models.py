"""Encoders of `clean.scores` through the pipeline: what `champion` stands for, and what is in the key."""

from __future__ import annotations

import logging
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from word_encoders import save_word_encoder

from mlctl.config import Recipe, parse
from mlctl.errors import InputError
from mlctl.pipeline import clean_warm_start, plan, score_models
from mlctl.pipeline.champion import registry_of
from mlctl.pipeline.preflight import find_problems
from mlctl.pipeline.stage import make, result_of
from mlctl.pipeline.stages import clean, download
from storage import Draft, Result, Store

VOCABULARY = [a + b + c for a in "bdfgl" for b in "aeiou" for c in "kpt"]
TRANSLATIONS = {word: f"{word[::-1]}x" for word in VOCABULARY}


def recipe(folder: Path, model: str, **changes: Any) -> Recipe:
    draw = random.Random(0)
    lines = [draw.sample(VOCABULARY, draw.randint(4, 7)) for _ in range(60)]
    (folder / "a.en").write_text("".join(" ".join(words) + "\n" for words in lines))
    (folder / "a.fr").write_text("".join(" ".join(TRANSLATIONS[word] for word in words) + "\n" for words in lines))
    source = {"kind": "files", "name": "a", "path": str(folder / "a.{language}")}
    score = {"kind": "encoder", "model": model, **changes}
    values = {"language_letters": 1000, "min_likelihood": -3, "workers": 1, "scores": {"e5": score}}
    sources = {"sources": [source]}
    return parse({"name": "x", "store": str(folder / "store"), "download": sources, "clean": values})


def cleaned(recipe: Recipe) -> tuple[Result, bool]:
    ref, there = make(clean.STAGE, recipe, (make(download.STAGE, recipe, ())[0],))
    return result_of(ref), there


def scores(result: Result) -> list[float]:
    return [dict(row["scores"])["e5"] for row in pq.read_table(result.folder / "pairs/fr.parquet").to_pylist()]


def promote(recipe: Recipe, key: str, seed: int, expected: int) -> Result:
    """Store a training result with an encoder, and make it the champion."""
    with Store(recipe.store).building("train", key) as draft:
        assert isinstance(draft, Draft)
        from mlctl.core.workspace import Workspace

        with Workspace(draft.folder).part("model") as path:
            save_word_encoder(path, TRANSLATIONS, seed, knows=seed == 0)
        result = draft.seal({"stage": "train"}, {}, {}, {})
    registry_of(recipe).promote(expected, {"train": key}, "better", keep=3)
    return result


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return save_word_encoder(tmp_path / "encoder", TRANSLATIONS)


def test_a_folder_is_in_the_key_by_its_content(tmp_path: Path, encoder: Path) -> None:
    first, _ = cleaned(recipe(tmp_path, str(encoder)))
    assert min(scores(first)) > 0.99
    assert cleaned(recipe(tmp_path, str(encoder), batch_size=7, device="cpu"))[1], "neither changes a score"
    moved = shutil.copytree(encoder, tmp_path / "moved")
    assert cleaned(recipe(tmp_path, str(moved)))[1]
    shutil.rmtree(moved)
    save_word_encoder(moved, TRANSLATIONS, seed=1, knows=False)
    other, there = cleaned(recipe(tmp_path, str(moved)))
    assert not there
    assert max(scores(other)) < 0.99
    explanation = plan.explain(recipe(tmp_path, str(moved), metric="margin"), "clean")
    assert [path for path, *_ in explanation.differences] == ["settings.clean.scores.e5.metric"]


def test_champion_is_the_champion_of_the_recipe(tmp_path: Path, encoder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    asked = recipe(tmp_path, "champion")
    with pytest.raises(InputError, match=r"clean.scores.*model is champion, but x has no champion yet and .* from scratch"):
        score_models.check(asked)
    assert any("has no champion yet" in str(error) for error in find_problems(asked, ("clean",), online=False))
    first = promote(asked, "a" * 24, 0, 0)
    clean_warm_start.check(asked)
    result, _ = cleaned(asked)
    assert min(scores(result)) > 0.99
    assert f"clean: starts with score.e5: train/{first.manifest.key}/model" in caplog.text
    assert set(result.manifest.parts["outside"]) == {"score.e5"}
    promote(asked, "b" * 24, 1, 1)
    assert cleaned(asked) == (result, True), "the same recipe finds its result"
    later, there = cleaned(recipe(tmp_path, "champion", min=-1))
    assert not there
    assert max(scores(later)) < 0.99, "by the new champion"


def test_without_a_champion_the_recipes_model_scores(tmp_path: Path, encoder: Path) -> None:
    asked = recipe(tmp_path, "champion")
    named = asked.model_copy(update={"model": asked.model.model_copy(update={"name": str(encoder)})})
    score_models.check(named)
    assert min(scores(cleaned(named)[0])) > 0.99


def test_scores_of_a_source_reach_the_clean_pairs_and_drop_some(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"{word} {word}\t{TRANSLATIONS[word]} x\t{n / 10}\n" for n, word in enumerate(VOCABULARY[:20])))
    source = {"kind": "files", "name": "a", "path": str(path), "format": "tsv", "targets": ["fr"], "scores": {"laser": 3}}
    values = {"language_letters": 1000, "workers": 1, "scores": {"laser": {"kind": "corpus", "min": 1.45}}}
    asked = parse({"name": "x", "store": str(tmp_path / "store"), "download": {"sources": [source]}, "clean": values})
    result, _ = cleaned(asked)
    rows = pq.read_table(result.folder / "pairs/fr.parquet").to_pylist()
    assert [dict(row["scores"]) for row in rows] == [{"laser": pytest.approx(n / 10)} for n in range(15, 20)]


def test_what_is_missing_is_found_before_the_run(tmp_path: Path) -> None:
    problems = find_problems(recipe(tmp_path, "/no/such/folder"), ("clean",), online=False)
    assert [error.problem for error in problems] == ["clean.scores.e5.model: there is no folder '/no/such/folder'"]
    command = recipe(tmp_path, "-").model_dump(mode="json")
    command["clean"]["scores"] = {"own": {"kind": "command", "command": ["no-such-program"]}}
    (problem,) = find_problems(parse(command), ("clean",), online=False)
    assert problem.problem == "clean.scores.own: there is no executable program 'no-such-program'"
