"""The encoder of a source whose model is the champion: from the registry, remembered, and part of the key."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import bilingual_encoder as made
import pytest

from mlctl.config import Recipe, parse
from mlctl.core.hashing import key_of
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.pipeline import plan
from mlctl.pipeline.champion import registry_of
from mlctl.pipeline.preflight import find_problems
from mlctl.pipeline.recipe_models import models_of
from mlctl.pipeline.stage import make, result_of
from mlctl.pipeline.stages.download import STAGE
from storage import Result, Store


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    source, target, _ = made.mixed(40, 20)
    (tmp_path / "en.txt").write_text("\n".join(source))
    (tmp_path / "fr.txt").write_text("\n".join(target))
    mined = {
        "kind": "mine", "name": "mined", "source": f"{tmp_path}/en.txt", "target": f"{tmp_path}/fr.txt", "model": "champion",
        "min_margin": 1.2,
    }  # fmt: skip
    settings = {"name": "x", "store": str(tmp_path / "store"), "languages": {"targets": ["fr"]}}
    return parse({**settings, "download": {"sources": [mined], "lock": str(tmp_path / "lock")}})


def promote(recipe: Recipe, encoder: Path, number: int) -> str:
    """Store an encoder as the result of a training and make it the champion; return the key of the result."""
    store, parts = Store(recipe.store), {"stage": "train", "number": number}
    with store.building("train", key_of(parts)) as draft:
        assert not isinstance(draft, Result)
        with Workspace(draft.folder).part("model") as folder:
            shutil.copytree(encoder, folder)
        draft.seal(parts, {}, {}, {}, ())
    registry_of(recipe).promote(number - 1, {"train": key_of(parts)}, "test", keep=3)
    return key_of(parts)


def test_the_champion_is_used_remembered_and_in_the_key(recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    key = promote(recipe, made.write_encoder(tmp_path / "first"), 1)
    assert not find_problems(recipe, ("download",), online=False)
    reference, cached = make(STAGE, recipe, ())
    first = result_of(reference)
    assert not cached
    assert set(first.manifest.parts["outside"]) >= {"champion", "0/source/en.txt"}
    assert f"download: starts with champion: train/{key}/model" in caplog.text
    [record] = json.loads((first.folder / "provenance.json").read_text())
    assert record["encoder"]["name"] == "champion"
    assert record["pairs"]["fr"] > 30

    promote(recipe, made.write_encoder(tmp_path / "second", size=32), 2)
    reference, cached = make(STAGE, recipe, ())
    assert cached, "the same text with the same recipe finds its result again"
    assert plan.plan(recipe, until="download")[0].result is not None
    (tmp_path / "fr.txt").write_text((tmp_path / "fr.txt").read_text() + "\nxnew xtext.\n")
    reference, cached = make(STAGE, recipe, ())
    second = result_of(reference)
    assert not cached
    assert second.manifest.parts["outside"]["champion"] != first.manifest.parts["outside"]["champion"]


def test_before_there_is_a_champion_the_model_of_the_recipe_is_used(recipe: Recipe, tmp_path: Path) -> None:
    [problem, *_] = find_problems(recipe, ("download",), online=False)
    assert "download.sources.0.model is champion, but x has no champion yet" in str(problem)
    with pytest.raises(InputError, match="has no champion yet"):
        make(STAGE, recipe, ())
    encoder = str(made.write_encoder(tmp_path / "encoder"))
    named = recipe.model_copy(update={"model": recipe.model.model_copy(update={"name": encoder})})
    assert not find_problems(named, ("download",), online=False)
    assert [(setting, model.name) for setting, model in models_of(named, "download")] == [("download.sources.0.model", encoder)]
    reference, _ = make(STAGE, named, ())
    assert "champion" in result_of(reference).manifest.parts["outside"]


def test_without_such_sources_nothing_is_asked(recipe: Recipe, tmp_path: Path) -> None:
    source = recipe.download.sources[0].model_copy(update={"model": str(tmp_path / "none")})
    other = recipe.model_copy(update={"download": recipe.download.model_copy(update={"sources": (source,)})})
    assert STAGE.warm_start is not None
    assert STAGE.warm_start.resolve("download", other, {"outside": {}}) == {}
    [problem, *_] = find_problems(other, ("download",), online=True)
    assert "download.sources.0.model" in str(problem)
