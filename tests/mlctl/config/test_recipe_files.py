"""A recipe file is a recipe or gets one error with its line, whatever its bytes are."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlctl import config
from mlctl.config import yaml_text
from mlctl.errors import InputError

ALIASES = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n" for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        config.load(path, overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"train:\n  steps: 1\n  loss: cz-nce\n  steps: 2\n", "line 4: train.steps is set twice (first in line 2)"),
        (b"download:\n  sources:\n  - {kind: opus, kind: files}\n", "line 3: download.sources.0.kind is set twice"),
        (b"name: caf\xe9\n", "line 1: byte 0xe9 is not UTF-8"),
        (b"train:\n\tsteps: 5\n", "line 2: a tab is used for indentation"),
        (b"name: a\n---\nname: b\n", "line 2: a second document starts"),
        (b"name: x\ntrain: !!python/object/apply:os.system [ls]\n", "line 2: the tag !!python/object/apply:os.system"),
        (b"name: x\nseed: \x01\n", "line 2: control character U+0001"),
        (b"n\0a\0m\0e\0", "line 1: control character U+0000"),
        (b'name: "\\U00110000"\n', "an escape in quotes stands for no character"),
        (b'name: "a\n', "line 1: not valid YAML"),
        (b"name: a: b\n", "line 1: not valid YAML: mapping values are not allowed here"),
        (b"name: *x\n", "line 1: not valid YAML: found undefined alias"),
        (b"name: &a [*a]\n", "an alias stands for itself"),
        (ALIASES.encode(), "too many values"),
        (b"[" * 200_000, "nested deeper than 30 levels"),
        (b"".join(b" " * n + b"a:\n" for n in range(300)), "nested deeper than 30 levels"),
        (b"a" * 300_000, "too large for a recipe"),
        (b"", "contains no settings: it is empty"),
        (b"# nothing\n", "contains no settings: it is empty"),
        (b"- name: x\n", "it has a list where settings are expected"),
        (b"x\n", "it has one value where settings are expected"),
        (b"? [a]\n: b\n", "line 1: the name of a setting is not text"),
        (b"train: {<<: 5}\n", "`<<` merges sections only"),
    ],
)
def test_a_file_that_is_no_recipe_is_named_with_its_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(data)
    error = error_of(path)
    assert error.startswith(str(path))
    assert message in error


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "device", "loop", "long", "large"])
def test_what_is_no_file_is_named_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "r.yaml"
    with socket.socket(socket.AF_UNIX) as listener, tempfile.TemporaryDirectory() as short:
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            path = Path(short) / "r"  # the name of a socket is short
            listener.bind(str(path))
        elif kind == "device":
            path = Path("/dev/zero")
        elif kind == "loop":
            path.symlink_to(path)
        elif kind == "long":
            path = tmp_path / ("x" * 5000)
        else:
            with path.open("wb") as file:
                file.truncate(2**31)
        expected = {"loop": "cannot be read", "long": "cannot be read: File name too long", "large": "too large for a recipe"}
        assert expected.get(kind, f"is a {kind}, not a recipe") in error_of(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_marks_of_encodings_and_ends_of_lines_are_read(tmp_path: Path, encoding: str, newline: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(newline.join(["name: caf-1", "report:", "  title: Ää 日本"]).encode(encoding))
    recipe = config.load(path)
    assert (recipe.name, recipe.report.title) == ("caf-1", "Ää 日本")


def test_values_are_those_of_yaml_1_2() -> None:
    text = "[no, off, yes, on, y, 010, 0o10, 0x1f, 12:30:45, 2026-01-01, 1e-3, 2., .5, true, False, ~, null, '5', 1_0]"
    read = yaml_text.parse(text, "x").values
    assert read == [
        *("no", "off", "yes", "on", "y", 10, 8, 31, "12:30:45", "2026-01-01"),
        *(0.001, 2.0, 0.5, True, False, None, None, "5", "1_0"),
    ]
    recipe = config.parse({}, overrides=["languages.targets=[no, fi]", "clean.near_duplicates=off", "train.steps=1_000"])
    assert (recipe.languages.targets, recipe.clean.near_duplicates, recipe.train.steps) == (("no", "fi"), "off", 1000)


letters = st.characters(exclude_categories=["Cs"], exclude_characters="\x85\u2028\u2029")  # PyYAML reads these as ends of lines
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(letters, max_size=8)
    | st.sampled_from(["no", "off", "1e3", "010", "0o7", "~", "12:30", "2026-01-01", "=", "<<", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(letters, max_size=5).filter(lambda t: t != "<<"), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(plain)
def test_what_is_written_is_read_again(values: Any) -> None:
    assert yaml_text.parse(yaml_text.dump(values), "x").values == values
    assert str(yaml.safe_load(yaml_text.dump(values))) == str(values), "by a reader of YAML 1.1 too"


def test_settings_are_merged_and_the_first_wins() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\n"
    assert yaml_text.parse(text, "x").values["c"] == {"x": 1, "y": 1, "z": 3}


def test_the_place_that_a_wrong_value_came_from_is_named(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("train:\n  steps: 0\n  batch_size: 0\n  word_pairs: 0\n")
    (tmp_path / "top.yaml").write_text("base: base.yaml\ntrain:\n  batch_size: 1.5\nlanguages: {targets: [fr]}\n")
    lines = error_of(tmp_path / "top.yaml", "train.word_pairs=999", "train.seed=x", "languages.source=fr").splitlines()
    assert lines[:-1] == [
        f"{tmp_path}/base.yaml, line 2: train.steps: give a number of at least 1 (given: 0)",
        f"  {tmp_path}/top.yaml, line 3: train.batch_size: give a whole number (given: 1.5)",
        "  command line (languages.source): languages: name each language once; given: 'fr' and ['fr']",
        "  command line: train.word_pairs: give a number of at most 128 (given: 999)",
        "  command line: train.seed: give a whole number (given: 'x')",
    ]
    replaced = error_of(tmp_path / "top.yaml", "train={loss: x}")
    assert "base.yaml" not in replaced
    assert "command line (train): train.loss: use 'cz-nce' or 'info-nce' (given: 'x')" in replaced


words = st.sampled_from(
    ["train", "steps", "name", "languages", "targets", "download", "sources", "kind", "files", "opus", "base", "store", "loss", "-1",
     "true", "no", "[fr]", "[", "{", "}", "]", ":", ": ", "- ", "\n", "\n  ", "\t", "&a ", "*a", "!!int ", "<<: ", "|", '"', "'", "# ",
     "1e999", ".nan", "\0", "\udfff", "é", "{}", "[true]", "evaluate", "benchmarks", "null", "---\n", "%YAML 9\n", ",", "."]
)  # fmt: skip
texts = st.lists(words, max_size=25).map("".join) | st.text(max_size=60)


@given(texts, st.lists(st.tuples(texts, texts).map("=".join) | texts, max_size=2))
def test_any_text_is_a_recipe_or_an_input_error(text: str, overrides: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(InputError):
            assert isinstance(config.load(path, overrides), config.Recipe)


paths = st.sampled_from(
    ["train.steps", "train.devices", "train.layers", "languages.targets", "languages.source", "download.sources", "evaluate.pooling",
     "evaluate.benchmarks", "evaluate.seeds", "clean.max_pairs", "store", "model", "model.scratch.heads", "translate.dev",
     "translate.command", "retrain.notify", "retrain.publish", "shard.decontaminate", "download.sources.0.codes", "x", "train.x.y"]
)  # fmt: skip


@given(st.lists(st.tuples(paths, plain | texts), min_size=1, max_size=3))
def test_any_value_of_any_setting_is_taken_or_an_input_error(values: list[tuple[str, Any]]) -> None:
    overrides = [f"{path}={value if isinstance(value, str) else yaml_text.dump(value, width=10_000)}" for path, value in values]
    with contextlib.suppress(InputError):
        recipe = config.parse({"download": {"sources": [{"kind": "url", "name": "a"}]}}, overrides=overrides)
        assert isinstance(recipe, config.Recipe)
