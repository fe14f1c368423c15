"""Every setting's place in the keys: it changes the key of each stage whose result it can change, and of no other.

The settings are found by walking the recipe, so a new one is tested as soon as it is declared.
"""

from __future__ import annotations

import copy
import dataclasses
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from mlctl.config import Recipe, Section
from mlctl.core.hashing import key_of
from mlctl.pipeline.stages import STAGES as ALL_STAGES
from storage import File, Manifest, Result

STAGES = {stage.name: stage for stage in ALL_STAGES}

#: A recipe in which every setting counts: one of each kind of source, aligners that read their settings.
VALUES: dict[str, Any] = {
    "download": {
        "sources": [
            {"kind": "locales", "packages": ["Django==5.2.8"]},
            {"kind": "files", "name": "a", "path": "x.{target}", "format": "jsonl", "columns": ["translation"]},
            {"kind": "url", "name": "b", "urls": ["https://a.example/x"], "format": "jsonl", "columns": ["translation"]},
            {"kind": "opus", "corpus": "Tatoeba", "format": "mono"},
            {"kind": "huggingface", "dataset": "a/b", "columns": ["translation"]},
            {"kind": "mtdata", "id": "Statmt-europarl-9-deu-eng"},
        ]
    },
    "translate": {
        "backend": "openai",  # of another backend, the settings of its section do not count
        "model": "a/b",
        "openai": {"base_url": "http://a.example/v1"},
        "command": ["cat"],
        "dev": [{"target": "fr", "path": "dev.{language}"}],
    },
    "align": {"engine": "combined"},
    "shard": {"decontaminate": [{"name": "x", "path": "x.tsv", "format": "tsv"}]},
    "train": {"rendezvous": "a:1"},
    "evaluate": {
        "benchmarks": [
            {"name": "tatoeba", "source": {"kind": "folder", "path": "x"}},
            {"name": "bucc", "source": {"kind": "folder", "path": "x"}},
            {"name": "ntrex", "source": {"kind": "folder", "path": "x"}},
            {"name": "word-alignment", "source": {"kind": "folder", "path": "x"}},
            {"name": "xnli", "source": {"kind": "huggingface", "dataset": "a/b"}},
            {"name": "pawsx", "source": {"kind": "folder", "path": "x"}},
            {"name": "udpos", "source": {"kind": "folder", "path": "x"}, "translate_train": {"sentences": 10}},
            {"name": "panx", "source": {"kind": "folder", "path": "x"}},
            {"name": "xquad", "source": {"kind": "folder", "path": "x"}},
            {"name": "mlqa", "source": {"kind": "folder", "path": "x"}},
            {"name": "tydiqa", "source": {"kind": "folder", "path": "x"}},
            {"name": "flores", "source": {"kind": "folder", "path": "x"}},
            {"name": "lareqa", "source": {"kind": "folder", "path": "x"}},
            {"name": "mewslix", "source": {"kind": "folder", "path": "x"}},
            {"name": "sts17", "source": {"kind": "folder", "path": "x"}},
            {"name": "sts22", "source": {"kind": "folder", "path": "x"}},
            {"name": "sib200", "source": {"kind": "folder", "path": "x"}},
            {"name": "belebele", "source": {"kind": "folder", "path": "x"}},
        ]
    },
}

#: Stages whose key a section (or setting) changes, besides `report`, which shows the whole recipe. The longest match counts.
READERS: dict[str, set[str]] = {
    "name": set(),
    "seed": {"align", "shard", "train", "evaluate"},
    "languages": {"download", "clean", "translate", "align", "shard", "evaluate"},
    "licences": {"download", "translate"},  # a shorter list asks again before a result is used
    "download": {"download"},
    "clean": {"clean"},
    "translate": {"translate"},
    "align": {"align"},
    "shard": {"shard"},
    "model.revision": set(),  # the digest of what it names is in the key
    "model.scratch": {"train"},
    "model.scratch.vocabulary": {"shard", "train"},  # the tokenizer is trained by shard
    "train": {"train"},
    "evaluate": {"evaluate"},
    "report": set(),
}

#: Settings that change no key: they cannot change a result, …
RUNTIME_ONLY = """
    store verify_store executor ray_address
    download.index_url download.timeout download.lock download.retries download.backoff download.stall_timeout
    download.connections download.workers download.bandwidth download.max_file_gib download.max_unpacked_gib download.max_unpack_ratio download.opus_api download.opus_files
    clean.workers
    translate.batch_tokens translate.workers translate.threads translate.device translate.remember
    translate.openai.base_url translate.openai.api_key_variable translate.openai.concurrency translate.openai.requests_per_minute
    translate.openai.tokens_per_minute translate.openai.input_price translate.openai.output_price translate.openai.max_cost
    translate.openai.timeout translate.openai.max_retries
    align.workers align.device align.batch_tokens shard.workers model.allow_pickle
    train.devices train.nodes train.rendezvous train.threads train.cache_gradients train.micro_batch_tokens
    train.activation_checkpointing train.compile train.fsdp train.max_loss_rise train.checkpoint_seconds
    train.keep_checkpoints train.trackers train.track_every train.track_project
    evaluate.batch_rows evaluate.device evaluate.workers
    retrain.champion retrain.start retrain.refresh_sources retrain.tolerance retrain.keep retrain.publish retrain.notify
""".split()
#: … or name a file, folder or model whose content is in the key.
DIGESTED_ELSEWHERE = """
    download.sources.files.path clean.lexicon translate.model translate.dev.path translate.openai.glossary translate.openai.examples align.priors align.encoder
    shard.decontaminate.path model.name model.start model.scratch.tokenizer evaluate.benchmarks.source.folder.path
""".split()

#: Other values to try where a choice of the setting's own, twice the number and so on are not valid.
CANDIDATES: list[Any] = [
    *(1, 2, 0.5, "de", "other", "cpu", "cuda:1", "b:2", "https://b.example/x", "Statmt-europarl-10-deu-eng", "0" * 64),
    *(
        "s3://bucket/place",
        "env:HOOK",
        {"fr": "fr_FR"},
        {"e5": {"kind": "lexicon"}},
        "",
        {"sentences": 10},
        "{target}: {text}",
        "{}",
    ),
]


def leaves(section: Section, path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield (dotted path, field) of every setting that is no section itself; items of lists have their number in the path."""
    for name, field in type(section).model_fields.items():
        value, place = getattr(section, name), f"{path}{name}"
        if isinstance(value, Section):
            yield from leaves(value, f"{place}.")
        elif isinstance(value, tuple) and value and all(isinstance(item, Section) for item in value):
            for number, item in enumerate(value):
                yield from leaves(item, f"{place}.{number}.")
        elif len(choices(field.annotation)) != 1 or get_origin(field.annotation) is not Literal:  # else it says what kind this is
            yield place, field


def choices(annotation: Any) -> list[Any]:
    """Return the values of every Literal in an annotation."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for inner in get_args(annotation) for choice in choices(inner)]


def get(values: Any, path: str) -> Any:
    """Return the value at a dotted path of nested settings."""
    for step in path.split("."):
        values = values[int(step)] if isinstance(values, list) else values[step]
    return values


def replaced(values: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy of nested settings with another value at a dotted path."""
    changed = copy.deepcopy(dict(values))
    section, _, name = path.rpartition(".")
    (get(changed, section) if section else changed)[name] = value
    return changed


def other_values(old: Any, field: FieldInfo) -> Iterator[Any]:
    """Yield values that a setting might have instead."""
    if isinstance(old, bool):
        yield not old
    elif isinstance(old, (int, float)):
        yield from (old * 2, old // 2, old / 2, old + 1, old - 1)
    for value in (*choices(field.annotation), *CANDIDATES):
        yield from (value, [value])


BASE = Recipe.model_validate(VALUES)
DUMPED: dict[str, Any] = BASE.model_dump(mode="json")
LEAVES = dict(leaves(BASE))


def changed_recipe(path: str) -> Recipe:
    """Return the recipe with another valid value at a path."""
    for value in other_values(get(DUMPED, path), LEAVES[path]):
        try:
            recipe = Recipe.model_validate(replaced(DUMPED, path, value))
        except ValidationError:
            continue
        if recipe != BASE:
            return recipe
    raise AssertionError(f"{path}: no other valid value known; add one to CANDIDATES")


def pattern_of(path: str) -> str:
    """Return a path without the numbers of list items: the kind of a source stands for its number, where there is one."""
    steps: list[str] = []
    values: Any = DUMPED
    for step in path.split("."):
        values = values[int(step)] if isinstance(values, list) else values[step]
        if not step.isdigit():
            steps.append(step)
        if isinstance(values, dict) and "kind" in values:
            steps.append(values["kind"])
    return ".".join(steps)


def is_declared_outside(path: str) -> bool:
    """Return whether the setting, or a section that holds it, is declared `runtime_only` or `digested_elsewhere`."""
    section: Any = BASE
    for step in path.split("."):
        if step.isdigit():
            section = section[int(step)]
            continue
        extra = type(section).model_fields[step].json_schema_extra
        if isinstance(extra, dict) and extra.get("in_key") is False:
            return True
        section = getattr(section, step)
    return False


def readers_of(path: str) -> set[str]:
    """Return the stages whose key a setting changes."""
    if pattern_of(path) in {*RUNTIME_ONLY, *DIGESTED_ELSEWHERE}:
        return set()
    best = max((prefix for prefix in READERS if f"{path}.".startswith(f"{prefix}.")), key=len)
    return READERS[best] | {"report"}


@pytest.mark.parametrize("path", LEAVES)
def test_a_setting_changes_the_keys_of_the_stages_that_read_it_and_no_other(path: str) -> None:
    changed = changed_recipe(path)
    found = {name for name, stage in STAGES.items() if stage.settings(changed) != stage.settings(BASE)}
    if path == "model.name":  # a model that is named leaves what one from scratch would be like out
        assert found == {"shard", "train"}
    elif path in {"model.start", "model.scratch.tokenizer"}:  # a tokenizer that is named is not trained
        assert found == {"shard"}
    else:
        assert found == readers_of(path)


def test_settings_outside_the_keys_are_these() -> None:
    """A setting moves into or out of the keys by decision, not by accident."""
    assert {pattern_of(path) for path in LEAVES if is_declared_outside(path)} == {*RUNTIME_ONLY, *DIGESTED_ELSEWHERE}


def test_an_unused_translation_backend_changes_no_key() -> None:
    recipes = [Recipe.model_validate({"translate": {"beams": beams, "model": "a/b"}}) for beams in (1, 2)]
    assert STAGES["translate"].settings(recipes[0]) == STAGES["translate"].settings(recipes[1])


def made(content: str, key: str) -> Result:
    """Return a result with one file."""
    file = File("x", 1, content, 0)
    return Result(Path(), Manifest("x", key, {}, {}, (file,), {}, {}, 0.0, ""))


@pytest.mark.parametrize("name", STAGES)
def test_a_key_depends_on_the_version_and_on_the_content_of_the_inputs(name: str, tmp_path: Path) -> None:
    stage, recipe = STAGES[name], Recipe(store=str(tmp_path))
    inputs = {need: made("content", "key") for need in stage.inputs(recipe)}
    key = stage.request(recipe, inputs).key
    assert dataclasses.replace(stage, version=stage.version + 1).request(recipe, inputs).key != key
    assert stage.request(recipe, {need: made("content", "other key") for need in inputs}).key == key, "equal bytes are equal"
    for need in inputs:
        assert stage.request(recipe, {**inputs, need: made("other", "key")}).key != key, need


@pytest.mark.parametrize("name", STAGES)
def test_a_key_depends_on_everything_that_makes_a_result(name: str) -> None:
    parts = {"stage": name, "version": 1, "settings": {"a": [1, {"b": None}]}, "inputs": {"x": "0"}, "outside": {"y": "1"}}
    others: Sequence[Mapping[str, Any]] = [
        {**parts, "stage": "other"},
        {**parts, "version": 2},
        {**parts, "settings": {"a": [1, {"b": 0}]}},
        {**parts, "settings": {"a": [{"b": None}, 1]}},
        {**parts, "inputs": {"x": "1"}},
        {**parts, "inputs": {"y": "0"}},
        {**parts, "outside": {"y": "0"}},
        {**parts, "inputs": parts["outside"], "outside": parts["inputs"]},
    ]
    assert len({key_of(parts), *map(key_of, others)}) == len(others) + 1
    assert key_of(dict(reversed(parts.items()))) == key_of(parts)


def encoder(folder: Path, content: str) -> str:
    """Write the files of an encoder that are digested, and return its folder."""
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_text(content)
    (folder / "tokenizer_config.json").write_text(f'{{"x": "{content}"}}')
    return str(folder)


def aligned(folder: Path, content: str) -> str:
    """Write what of an align result is reused, and return its folder."""
    (folder / "models" / "fr").mkdir(parents=True)
    (folder / "models" / "fr" / "lexicon.parquet").write_text(content)
    return str(folder)


def text(folder: Path, content: str, name: str = "x.{language}") -> str:
    """Write a file for each language, and return its path."""
    folder.mkdir()
    for language in ("en", "fr"):
        (folder / name.format(language=language)).write_text(f"{content} {language}\n")
    return f"{folder}/{name}"


def benchmark(folder: Path, content: str) -> str:
    """Write a benchmark's files, and return its folder."""
    folder.mkdir()
    for name in ("tatoeba.fra-eng.fra", "tatoeba.fra-eng.eng"):
        (folder / name).write_text(f"{content} {name}\n")
    return str(folder)


@pytest.mark.parametrize(
    ("stages", "content", "settings"),
    [
        ("shard train evaluate", encoder, {"model": {"name": "CONTENT"}}),
        ("train", encoder, {"model": {"start": "CONTENT"}}),
        ("shard", encoder, {"model": {"scratch": {"tokenizer": "CONTENT"}}}),
        ("align", encoder, {"align": {"engine": "embedding", "encoder": "CONTENT"}}),
        ("align", aligned, {"align": {"priors": "CONTENT"}}),
        ("clean", aligned, {"clean": {"lexicon": "CONTENT"}}),
        ("download", text, {"download": {"sources": [{"kind": "files", "name": "x", "path": "CONTENT"}]}}),
        ("shard", benchmark, {"shard": {"decontaminate": [{"name": "x", "path": "CONTENT/*"}]}}),
        ("shard evaluate", benchmark, {"evaluate": {"benchmarks": [{"name": "tatoeba", "source": {"kind": "folder", "path": "CONTENT"}}]}}),
        ("translate", encoder, {"translate": {"backend": "transformers", "model": "CONTENT"}}),
        ("translate", text, {"translate": {"backend": "command", "command": ["cat"], "dev": [{"target": "fr", "path": "CONTENT"}]}}),
    ],
)  # fmt: skip
def test_content_counts_and_its_place_does_not(tmp_path: Path, stages: str, content: Any, settings: dict[str, Any]) -> None:
    folder = tmp_path / "here" / "x"
    folder.parent.mkdir()
    path = content(folder, "old")
    (tmp_path / "there").mkdir()
    shutil.copytree(folder, tmp_path / "there" / "x")
    (tmp_path / "changed").mkdir()
    content(tmp_path / "changed" / "x", "new")
    for name in stages.split():
        here, there, changed = (
            STAGES[name].request(recipe_with(settings, path.replace("here", place), tmp_path), {}).key
            for place in ("here", "there", "changed")
        )
        assert here == there, name
        assert here != changed, name


def recipe_with(settings: Mapping[str, Any], path: str, store: Path) -> Recipe:
    """Return a recipe with CONTENT replaced by a path."""

    def filled(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: filled(item) for name, item in value.items()}
        if isinstance(value, list):
            return [filled(item) for item in value]
        return value.replace("CONTENT", path) if isinstance(value, str) else value

    return Recipe.model_validate({**filled(settings), "store": str(store / "store")})
