"""A recipe is checked whole before anything runs, and its key holds what can change a result, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlctl import config, recipes
from mlctl.errors import InputError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stps=3", "train.stps: no such setting; did you mean 'steps'?"),
        ("training.steps=3", "did you mean 'train'"),
        ("train.steps=0", "train.steps: Input should be greater than or equal to 1 (given: 0)"),
        ("train.steps=many", "train.steps"),
        ("train.learning_rate=.nan", "train.learning_rate"),
        ("train.loss=foo", "'cz-nce' or 'info-nce' (given: 'foo')"),
        ("languages.targets=[xx]", "unknown language 'xx'"),
        ("languages.targets=[en]", "name each language once"),
        ("languages.targets=[fr, fra]", "name each language once"),
        ("model.scratch.heads=5", "heads must divide hidden, given 5 and 192"),
        ("translate.backend=transformers", "needs translate.model"),
        ("download.sources=[{kind: locals}]", "download.sources.0"),
        ("name=../../etc", "name"),
        ("store=", "store"),
    ],
)
def test_a_wrong_setting_is_named_with_its_path(override: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        config.parse(config.override({}, [override]))
    assert message in str(caught.value)


@pytest.mark.parametrize("override", ["train", "=3", "train.steps.more=3", "train.steps={"])
def test_an_override_of_the_wrong_form_is_refused(override: str) -> None:
    with pytest.raises(InputError, match="override"):
        config.override({"train": {"steps": 5}}, [override])


def test_overrides_are_read_as_yaml_and_leave_the_original_alone() -> None:
    values = {"train": {"steps": 5}}
    changed = config.override(values, ["train.steps=7", "train.learning_rate=2e-6", "languages.targets=[de, no]"])
    recipe = config.parse(changed)
    assert (recipe.train.steps, recipe.train.learning_rate, recipe.languages.targets) == (7, 2e-6, ("de", "no"))
    assert values == {"train": {"steps": 5}}


@pytest.mark.parametrize("text", ["", "- a", "name: [", "\x00"])
def test_a_file_that_is_no_recipe_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"r\.yaml"):
        config.load(path)


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recipe at"):
        config.load(tmp_path / "none.yaml")


@given(st.integers(1, 64), st.integers(0, 8), st.floats(1, 1000))
def test_settings_that_change_no_result_stay_out_of_the_key(keep: int, threads: int, seconds: float) -> None:
    changed = config.Train(keep_checkpoints=keep, threads=threads, checkpoint_seconds=seconds, devices=("cpu",))
    assert config.key_settings(changed) == config.key_settings(config.Train())


def test_every_other_setting_is_in_the_key() -> None:
    keys = config.key_settings(config.Recipe())
    assert "store" not in keys
    assert keys["train"]["steps"] == config.Train().steps
    assert keys["model"]["scratch"]["hidden"] == config.ScratchModel().hidden
    assert config.key_settings(config.Recipe(seed=1)) != keys


def test_every_setting_has_a_description_and_a_literal_default() -> None:
    schema = config.Recipe.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    bare = [
        f"{s['title']}.{name}"
        for s in sections
        for name, p in s["properties"].items()
        if name != "kind" and not {"description", "$ref"} & set(p)
    ]
    assert not bare


def test_a_recipe_says_only_what_differs_from_its_base(tmp_path: Path) -> None:
    (tmp_path / "low.yaml").write_text("name: low\nlanguages: {targets: [fr, de]}\ntrain: {steps: 7, word_pairs: 2}\n")
    (tmp_path / "high.yaml").write_text("base: low.yaml\nname: high\nlanguages: {targets: [ru]}\ntrain: {steps: 9}\n")
    (tmp_path / "top.yaml").write_text("base: high.yaml\nname: top\n")
    recipe = config.load(tmp_path / "top.yaml", ["train.batch_size=8"])
    assert (recipe.name, recipe.languages.targets) == ("top", ("ru",))
    assert (recipe.train.steps, recipe.train.word_pairs, recipe.train.batch_size) == (9, 2, 8)


@pytest.mark.parametrize("base", ["me.yaml", "over.yaml", "[a]", "gone.yaml"])
def test_a_base_that_is_none(tmp_path: Path, base: str) -> None:
    (tmp_path / "me.yaml").write_text(f"base: {base}\n")
    (tmp_path / "over.yaml").write_text("base: me.yaml\n")
    with pytest.raises(InputError, match=r"no recipe at .*gone.yaml" if "gone" in base else r"is not a valid base recipe"):
        config.load(tmp_path / "me.yaml")


def test_the_papers_ablations_differ_from_it_in_loss_and_wiring_alone() -> None:
    paper = config.load(recipes.find("paper"))
    assert (paper.train.objective, paper.train.word_pairs) == ("joint", 1), "whatever the defaults are"
    for name, wiring, loss in (
        ("info-snt", "sentence", "info-nce"),
        ("cz-snt", "sentence", "cz-nce"),
        ("ml-ctl-info", "joint", "info-nce"),
        ("ml-ctl-cz", "joint", "cz-nce"),
    ):
        changed = {"name": name, "train": paper.train.model_copy(update={"objective": wiring, "loss": loss})}
        assert config.load(recipes.find(name)) == paper.model_copy(update=changed)


@pytest.mark.parametrize("name", recipes.names())
def test_ready_recipes_are_valid_and_survive_a_round_trip(name: str) -> None:
    recipe = config.load(recipes.find(name))
    assert recipe.name == name
    assert config.parse(yaml.safe_load(yaml.safe_dump(recipe.model_dump(mode="json")))) == recipe
