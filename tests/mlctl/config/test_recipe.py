"""A recipe is checked whole before anything runs, and its key holds what can change a result, nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlctl import config, recipes
from mlctl.config.error_messages import PATTERNS
from mlctl.errors import InputError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stps=3", "train.stps: no such setting; did you mean 'steps'?"),
        ("training.steps=3", "did you mean 'train'"),
        ("train.steps=0", "command line: train.steps: give a number of at least 1 (given: 0)"),
        ("train.steps=many", "train.steps"),
        ("train.learning_rate=.nan", "train.learning_rate"),
        ("train.loss=foo", "'cz-nce' or 'info-nce' (given: 'foo')"),
        ("languages.targets=[xx]", "unknown language 'xx'"),
        ("languages.targets=[en]", "name each language once"),
        ("languages.targets=[fr, fra]", "name each language once"),
        ("model.scratch.heads=5", "heads must divide hidden, given 5 and 192"),
        ("translate.backend=transformers", "needs translate.model"),
        (
            "download.sources=[{kind: locals}]",
            "download.sources.0.kind: use locales, files, url, opus, huggingface, mtdata, mine or documents; did you",
        ),
        (
            "download.sources=[{kind: opus, corpus: T, license: MIT}]",
            "download.sources.0.license: no such setting; did you mean 'licence'",
        ),
        ("download.sources=[{kind: opus}]", "download.sources.0.corpus: is missing: Name of the corpus"),
        ("download.sources=[opus]", "download.sources.0: give settings, like {kind: locales, …}"),
        (
            "download.sources=[{kind: opus, corpus: T, version: 1.10}]",
            "download.sources.0.version: give text: put it in quotes (given: 1.1)",
        ),
        ("evaluate.benchmarks=[{name: xnly}]", "evaluate.benchmarks.0.name: use tatoeba"),
        (
            "evaluate.benchmarks=[{name: xnli, source: {kind: folder, pth: x}}]",
            "source.pth: no such setting; did you mean 'path'",
        ),
        ("evaluate.pooling=-1", "use 'auto', 'trained', 'last', 'cls' or 'search'; or give a number of at least 0 (given: -1)"),
        ("evaluate.pooling=lsat", "did you mean 'last'?"),
        ("languages.targets=sw", "languages.targets: give a list, like [sw] (given: 'sw')"),
        ("languages.targets=sw,hi", "give a list, like [sw, hi]"),
        ("languages.targets=[]", "languages.targets: name at least 1"),
        ("train.steps=true", "train.steps: give a number (given: true)"),
        ("evaluate.seeds=[0, true]", "evaluate.seeds.1: give a number"),
        ("train.learning_rate=false", "train.learning_rate: give a number"),
        ("train.steps=1.5", "train.steps: give a whole number (given: 1.5)"),
        ("train.steps=.inf", "train.steps: give a finite number"),
        ("train.steps=99999999999999999999", "train.steps: give a number of at most 9,223,372,036,854,775,807"),
        ("train.steps=" + "9" * 5000, "train.steps: give a smaller number"),
        ("train.micro_batch_tokens=", "train.micro_batch_tokens: give auto, or a number of tokens from 1 (given: nothing)"),
        ("train.batch_size=2:30", "train.batch_size: give a whole number (given: '2:30')"),
        ("train.hard_word_negatives=2", "train.hard_word_negatives: use true or false"),
        ("train=5", "command line: train: is a section: give its settings, like train.loss=…"),
        ("train=", "train: the section is empty"),
        ("steps=5", "steps: no such setting; did you mean 'train.steps'?"),
        ("align.device=gpu", "align.device: use auto, cpu, cuda or cuda:N (given: 'gpu')"),
        ("train.rendezvous=a", "train.rendezvous: give host:port"),
        ("base=paper.yaml", "base: no such setting: only a recipe file names its `base`"),
        ('report.title="a\\0b"', "report.title: remove the control character U+0000"),
        ('report.title="\\ud800"', "report.title: remove the control character U+D800"),
        ("name=../../etc", "name"),
        ("store=", "store"),
    ],
)
def test_a_wrong_setting_is_named_with_its_path(override: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        config.parse({}, overrides=[override])
    assert message in str(caught.value)


def test_what_an_unknown_setting_holds_is_not_shown() -> None:
    with pytest.raises(InputError) as caught:
        config.parse({"retrain": {"password": "hunter2"}})
    assert "retrain.password: no such setting" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_override_reaches_into_lists_and_an_empty_one_is_an_empty_text() -> None:
    values = {"download": {"sources": [{"kind": "opus", "corpus": "T"}]}, "model": {"name": "a/b"}, "clean": {"max_pairs": 5}}
    recipe = config.parse(values, overrides=["download.sources.0.licence=MIT", "model.name=", "clean.max_pairs="])
    assert recipe.download.sources[0].licence == "MIT"
    assert (recipe.model.name, recipe.clean.max_pairs) == ("", None)
    assert values["model"] == {"name": "a/b"}
    with pytest.raises(InputError, match=r"override of download\.sources\.1: '1' is no item of the list"):
        config.parse(values, overrides=["download.sources.1=x"])


def test_every_pattern_of_a_setting_is_explained_in_words() -> None:
    assert set(re.findall(r'"pattern": ("[^ ]*")', json.dumps(config.Recipe.model_json_schema()))) <= set(
        map(json.dumps, PATTERNS)
    )


@pytest.mark.parametrize(
    "override", ["train", "=3", "train.steps.more=3", "train.steps={", "a." * 5000 + "b=1", "train..steps=3"]
)
def test_an_override_of_the_wrong_form_is_refused(override: str) -> None:
    with pytest.raises(InputError, match="override"):
        config.parse({"train": {"steps": 5}}, overrides=[override])


def test_overrides_are_read_as_yaml_and_leave_the_original_alone() -> None:
    values = {"train": {"steps": 5}}
    recipe = config.parse(values, overrides=["train.steps=7", "train.learning_rate=2e-6", "languages.targets=[de, no]"])
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


def test_a_base_is_a_built_in_recipe_unless_the_folder_has_such_a_file(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text("base: demo\nname: mine\n")
    demo = config.load(recipes.find("demo"))
    assert config.load(tmp_path / "demo.yaml") == demo.model_copy(update={"name": "mine"})
    (tmp_path / "demo").write_text("train: {steps: 3}\n")
    assert config.load(tmp_path / "demo.yaml").train.steps == 3


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


def test_the_papers_recipe_reads_samples_and_lengths_as_the_authors_and_has_a_shorter_variant() -> None:
    paper, short = (config.load(recipes.find(name)) for name in ("paper", "paper-short"))
    assert (paper.shard.max_length, paper.shard.too_long) == (127, "drop"), "their code keeps what has fewer than 128 subwords"
    assert (paper.train.sample_unit, paper.train.steps, paper.train.batch_size) == ("word-pair", 25_000_000 // 64, 64)
    assert short == paper.model_copy(update={"name": "paper-short", "train": paper.train.model_copy(update={"steps": 62_499})}), (
        "nothing but the budget differs, so that they share data and base scores"
    )


def test_a_sample_of_one_word_pair_has_no_number_of_word_pairs() -> None:
    with pytest.raises(
        ValidationError, match="sample_unit: word-pair has one word pair per sample: leave out word_pairs, given 3"
    ):
        config.Train(sample_unit="word-pair", word_pairs=3)
    assert config.resolve_train(config.Train(sample_unit="word-pair"), "masked-lm").word_pairs == 1


@pytest.mark.parametrize("name", recipes.descriptions())
def test_ready_recipes_are_valid_and_survive_a_round_trip(name: str) -> None:
    recipe = config.load(recipes.find(name))
    assert recipe.name == name.rpartition("/")[2]
    assert config.parse(yaml.safe_load(yaml.safe_dump(recipe.model_dump(mode="json")))) == recipe


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ("store=s3://AKIA:hunter2@bucket/x", "store: remove the password or key from the URL"),
        ("store=ftp://me:hunter2@a.example/x", "(given: 'ftp://…@a.example/x')"),
        ("store=https://a.example/x?key=hunter2", "store: remove the password or key from the URL"),
        ("translate.command=prog hunter2", "translate.command: give a list, like [prog, …#"),
        ("translate.command=[prog, hunter2, 5]", "translate.command.2: give text"),
        ("retrain.notify=[ftp://a.example/hunter2]", "this is not an http or https URL"),
        (
            "download.sources=[{kind: url, name: a, urls: ['ftp://me:hunter2@a.example/x?key=hunter2']}]",
            "this is not an http or https URL",
        ),
        (
            "download.sources=[{kind: url, name: a, urls: ['https://me:hunter2@a.example/x']}]",
            "remove the user name and password",
        ),
        ("download.opus_api=https://me:hunter2@a.example", "remove the user name and password"),
        ("retrain.publish=['s3://me:hunter2@bucket/x']", "must not contain a user name or password"),
    ],
)
def test_errors_show_nothing_that_grants_access(override: str, shown: str) -> None:
    with pytest.raises(InputError) as caught:
        config.parse({}, overrides=[override])
    assert shown in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_store_may_name_a_user() -> None:
    assert config.Recipe(store="sftp://me@a.example/x").store == "sftp://me@a.example/x"
