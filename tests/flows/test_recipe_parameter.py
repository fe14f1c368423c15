"""The parameters `recipe` and `overrides` of the flows: a name, a file, or settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.pipeline import pipeline
from flows.recipe_parameter import name_of
from mlctl import config, recipes
from mlctl.config import Recipe, resolve
from mlctl.errors import InputError
from storage import Store
from storage.run_log import RunLog


def test_a_name_a_file_and_settings_are_the_same_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ntrain: {steps: 7}\n", encoding="utf-8")
    settings = {"name": "mine", "train": {"steps": 7}}
    assert resolve(str(file)) == resolve(settings) == resolve(config.parse(settings))
    assert resolve("refine") == config.load(recipes.find("refine"))
    for recipe in (str(file), settings, config.parse(settings)):
        assert resolve(recipe, ["train.steps=9"]).train.steps == 9
    assert settings["train"] == {"steps": 7}


@pytest.mark.parametrize(
    ("recipe", "overrides", "problem"),
    [
        ("refin", [], "refine"),
        ({"train": {"step": 7}}, [], "steps"),
        ("demo", ["train.steps=many"], "train.steps"),
        (Recipe(), ["steps"], "steps"),
        (7, [], "not a recipe"),
        (None, [], "not a recipe"),
    ],
)
def test_a_wrong_recipe_fails_the_run_with_one_message(recipe: Any, overrides: list[str], problem: str, server: str) -> None:
    with pytest.raises(InputError, match=problem):
        resolve(recipe, overrides)
    state = pipeline(recipe, overrides, until="download", return_state=True)
    assert state.is_failed()
    assert problem in str(state.message)
    assert name_of(recipe, overrides), "the run has a name all the same"


def test_the_overrides_of_a_deployment_are_recorded(recipe: Path, server: str, tmp_path: Path) -> None:
    overrides = ["train.steps=9", "name=watched"]
    state = pipeline(str(recipe), overrides, until="download", return_state=True)
    assert state.is_completed(), state.message
    (run,) = RunLog(Store(tmp_path / "store")).runs()
    assert run.overrides == overrides
