"""The kind of a model from its folder's files, and the settings that follow from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlctl.config import Model, Recipe, Train, load
from mlctl.config.train_defaults import BY_KIND, DEFAULTS, resolve_train
from mlctl.errors import InputError
from mlctl.modeling.model_kind import model_kind, resolved_settings
from mlctl.pipeline.stages import STAGES
from mlctl.pipeline.training_settings import training_lines
from mlctl.recipes import find


def folder(path: Path, config: dict[str, Any], *others: str) -> Model:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    for name in others:
        (path / name).write_text("[]" if name == "modules.json" else "{}")
    return Model(name=str(path))


@pytest.mark.parametrize(
    ("classes", "files", "kind"),
    [
        (["BertForMaskedLM"], (), "masked-lm"),
        (["ElectraForPreTraining"], (), "masked-lm"),
        (["BertForMaskedLM"], ("modules.json",), "sentence-encoder"),
        (["XLMRobertaModel"], (), "sentence-encoder"),
        (["MT5EncoderModel"], (), "sentence-encoder"),
        (None, (), "sentence-encoder"),
    ],
)
def test_kind_follows_from_the_files(tmp_path: Path, classes: list[str] | None, files: tuple[str, ...], kind: str) -> None:
    model = folder(tmp_path / "model", {"model_type": "bert", "architectures": classes}, *files)
    assert model_kind(model) == kind  # no weights are there: none are read


def test_no_model_is_scratch_and_so_is_its_successor(tmp_path: Path) -> None:
    assert model_kind(Model()) == "scratch"
    same = {"model_type": "bert", "hidden_size": 192, "num_hidden_layers": 2, "intermediate_size": 768}
    start = folder(tmp_path / "champion", {**same, "architectures": ["BertForMaskedLM"]}, "modules.json")
    assert model_kind(Model(start=start.name)) == "scratch"
    other = folder(tmp_path / "mbert", {**same, "num_hidden_layers": 12, "architectures": ["BertForMaskedLM"]})
    assert model_kind(Model(start=other.name)) == "masked-lm"
    with pytest.raises(InputError, match=r"model\.start: there is no folder './none'"):
        model_kind(Model(start="./none"))


def test_every_kind_has_a_value_for_the_same_settings_and_the_recipe_goes_first() -> None:
    assert {tuple(values) for values in DEFAULTS.values()} == {BY_KIND[:-2]}
    assert all(Train.model_fields[name].default is None for name in BY_KIND)
    for kind in DEFAULTS:
        settings = resolve_train(Train(learning_rate=0.5, steps=70), kind)
        assert (settings.learning_rate, settings.steps, settings.warmup_steps) == (0.5, 70, 7)
        assert None not in [getattr(settings, name) for name in BY_KIND]
    assert resolve_train(Train(mlm_weight=0), "scratch").mlm_weight == 0


def test_built_in_recipes_have_the_values_that_they_were_measured_with(tmp_path: Path) -> None:
    """The paper's recipes state the paper's values; a recipe without a model gets those of the demo."""
    paper = load(find("paper")).train
    assert (paper.learning_rate, paper.warmup_steps, paper.lr_schedule, paper.temperature) == (2e-6, 0, "none", 0.07)
    assert None not in [getattr(paper, name) for name in BY_KIND if name != "judge_every"]
    demo, scratch = load(find("demo")).train, resolved_settings(Train(), Model())
    assert all(
        getattr(scratch, name) == getattr(demo, name) for name in BY_KIND if name not in {"steps", "warmup_steps", "judge_every"}
    )
    refine = load(find("refine")).train
    encoder = resolved_settings(Train(), folder(tmp_path / "e5", {"architectures": ["BertModel"]}, "modules.json"))
    assert all(getattr(encoder, name) == getattr(refine, name) for name in BY_KIND if name != "judge_every")


def test_the_kind_is_in_the_key_of_train(tmp_path: Path) -> None:
    """Two folders with equal weights of which one has sentence-transformers' files are trained with other settings."""
    train = next(stage for stage in STAGES if stage.name == "train")
    keys = []
    for name, files in (("plain", ()), ("sentence", ("modules.json",))):
        model = folder(tmp_path / name, {"architectures": ["BertForMaskedLM"]}, "model.safetensors", *files)
        keys.append(train.request(Recipe(model=model), {}).key)
    assert keys[0] != keys[1]


def test_plan_shows_kind_and_values(tmp_path: Path) -> None:
    model = folder(tmp_path / "model", {"architectures": ["BertForMaskedLM"]})
    lines = training_lines(Recipe(model=model, train=Train(steps=50)))
    assert "(masked-lm)" in lines[0]
    assert "learning_rate 2e-05" in lines[1]
    assert "warmup_steps 5" in lines[1]
    assert lines[2] == "  set by the recipe: steps 50"
    missing = training_lines(Recipe(model=Model(name="./none")))
    assert "cannot be read: model.name: there is no folder './none'" in missing[0]
