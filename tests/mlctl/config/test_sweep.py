"""Sweep files: the variants of a grid and of a list, and what is wrong with them."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.config.sweep import load_sweep, parse_sweep
from mlctl.errors import InputError

SETTINGS = ("train.temperature", "train.loss", "shard.max_length", "align.seed", "train.layers")
NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40)
VALUES = st.one_of(NUMBERS, st.floats(allow_nan=False, allow_infinity=False), TEXTS, st.lists(NUMBERS, max_size=3))
GRIDS = st.dictionaries(
    st.sampled_from(SETTINGS), st.lists(VALUES, min_size=1, max_size=4, unique_by=repr), min_size=1, max_size=4
)


@given(GRIDS)
def test_a_grid_is_the_product_of_its_values(grid: dict[str, list[Any]]) -> None:
    variants = parse_sweep({"grid": grid}).variants("recipe")
    expected = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    assert [variant.settings for variant in variants] == expected
    assert len(variants) == math.prod(map(len, grid.values()))


@given(st.dictionaries(st.sampled_from(SETTINGS), st.lists(NUMBERS, min_size=1, max_size=3, unique=True), min_size=1))
def test_the_names_of_a_grid_are_unique_short_and_in_one_line(grid: dict[str, list[int]]) -> None:
    names = [variant.name for variant in parse_sweep({"grid": grid}).variants("recipe")]
    assert len(set(names)) == len(names)
    assert all(name.isprintable() for name in names)


def test_names_of_variants() -> None:
    grid = {"train.temperature": [0.03, 1e-5], "model.scratch.layers": [2], "train.layers": ["last", [1, 8], "x" * 30]}
    names = [variant.name for variant in parse_sweep({"grid": grid}).variants("recipe")]
    assert names[0] == "temperature=0.03 model.scratch.layers=2 train.layers=last"
    assert names[1] == "temperature=0.03 model.scratch.layers=2 train.layers=[1, 8]"
    assert names[-1] == "temperature=1e-05 model.scratch.layers=2 train.layers=#2"


def test_a_list_follows_the_grid_and_without_both_the_recipe_itself_is_the_variant() -> None:
    sweep = parse_sweep(
        {"grid": {"train.steps": [1]}, "variants": [{"name": "long", "train.steps": 9, "seed": 1}, {"name": "same"}]}
    )
    assert [(v.name, v.settings) for v in sweep.variants("r")] == [
        ("steps=1", {"train.steps": 1}),
        ("long", {"train.steps": 9, "seed": 1}),
        ("same", {}),
    ]
    assert [(v.name, v.settings) for v in parse_sweep({"seeds": [1, 2]}).variants("refine")] == [("refine", {})]


def test_a_section_changes_only_the_settings_that_it_names() -> None:
    (variant,) = parse_sweep({"variants": [{"name": "a", "train": {"steps": 3}, "model.scratch": {"layers": 1}}]}).variants("r")
    assert variant.settings == {"train.steps": 3, "model.scratch.layers": 1}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sead": [1]}, "sweep: sead: no such setting; did you mean 'seeds'?"),
        ({"seeds": 5}, "sweep: seeds: give a list, like [5] (given: 5)"),
        ({"seeds": [-1]}, "sweep: seeds.0: give a number of at least 0 (given: -1)"),
        ({"grid": {"train.loss": "cz-nce"}}, "sweep: grid.train.loss: give a list, like [cz-nce] (given: 'cz-nce')"),
        ({"name": "a b"}, "sweep: name: use letters, digits"),
        ({"grid": {"train.steps": list(range(1, 500))}}, "1,497 runs (499 variants × 3 seeds)"),
    ],
)
def test_a_wrong_form_is_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_sweep(values)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"grid": {"train.steps": []}}, "grid.train.steps: has no values"),
        ({"grid": {"train.temperature": [0.1, 1e-1]}}, "grid.train.temperature: the value 0.1 is listed 2 times"),
        ({"seeds": [3, 3]}, "seeds: 3 is listed 2 times"),
        ({"variants": [{"train.steps": 1}]}, "variants.0: has no name"),
        ({"variants": [{"name": "base"}]}, "'base' is the name of the base model"),
        ({"variants": [{"name": "a\nb"}]}, "is not a text of 1 to 60 characters in one line"),
        ({"grid": {"train.steps": [1]}, "variants": [{"name": "steps=1"}]}, "2 variants are named 'steps=1'"),
        ({"baseline": "b", "variants": [{"name": "a"}]}, "baseline: no variant is named 'b'"),
        ({"grid": {"train.seed": [1]}}, "a sweep cannot change train.seed"),
        ({"variants": [{"name": "a", "store": "x"}]}, "a sweep cannot change store"),
        ({"variants": [{"name": "a", "train": {"word_pairs": 1}}]}, "train.word_pairs is also set on the command line"),
    ],
)
def test_wrong_names_and_values_are_named(values: dict[str, Any], said: str) -> None:
    (problem,) = parse_sweep(values).problems(["train.word_pairs=3"])
    assert said in str(problem)


def test_files_are_named_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text("seeds: [0]\nvariants:\n  - name: a\n  - train.steps: 1\n", encoding="utf-8")
    (problem,) = load_sweep(file).problems()
    assert str(problem).startswith(f"{file}, line 4: variants.1: has no name")
    file.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="contains no settings"):
        load_sweep(file)
    with pytest.raises(InputError, match=r"no sweep at .*/none\.yaml\n  → name a YAML file$"):
        load_sweep(tmp_path / "none.yaml")
