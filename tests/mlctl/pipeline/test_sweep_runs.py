"""The runs of a sweep: recipes, their overrides, problems of all variants; and the example of the page on sweeps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from mlctl import config, recipes, sweeps
from mlctl.config.sweep import load_sweep, parse_sweep
from mlctl.errors import InputError
from mlctl.pipeline.sweep_runs import plan_runs
from mlctl.pipeline.variant_runs import check_runs

ROOT = Path(__file__).parents[3]


def test_every_seed_of_every_variant_is_a_run_seeds_first() -> None:
    recipe = config.parse({"train": {"steps": 7}})
    definition = parse_sweep({"seeds": [4, 5], "grid": {"train.temperature": [0.1, 0.2]}})
    runs = plan_runs(recipe, definition)
    assert [(run.name, run.recipe.train.temperature, run.recipe.train.seed, run.recipe.train.steps) for run in runs] == [
        ("temperature=0.1, seed 4", 0.1, 4, 7),
        ("temperature=0.2, seed 4", 0.2, 4, 7),
        ("temperature=0.1, seed 5", 0.1, 5, 7),
        ("temperature=0.2, seed 5", 0.2, 5, 7),
    ]


def test_the_overrides_of_a_run_make_its_recipe() -> None:
    changes = {
        "train.layers": [1, 2],
        "model.revision": "1.0",
        "train.anchor_weight": None,
        "shard.blocks": False,
        "licences.refuse": [],
    }
    changes = {name: value for name, value in changes.items() if name != "licences.refuse"}
    (run,) = plan_runs(config.parse({}), parse_sweep({"seeds": [3], "variants": [{"name": "all", **changes}]}))
    assert config.parse({}, overrides=run.overrides) == run.recipe
    assert 'model.revision="1.0"' in run.overrides, "not the number"


def test_problems_of_all_variants_are_listed_once() -> None:
    grid = {"train.steps": [0, 5], "train.loss": ["cz-nce", "x"], "train.no": [1]}
    with pytest.raises(InputError) as raised:
        plan_runs(config.parse({}), parse_sweep({"grid": grid, "seeds": [0, 0]}, "file"))
    text = str(raised.value)
    assert text.startswith("4 problems")
    for problem in (
        "train.steps: give a number",
        "train.loss: use 'cz-nce'",
        "train.no: no such setting",
        "seeds: 0 is listed 2 times",
    ):
        assert text.count(problem) == 1, problem


def test_what_a_variant_needs_from_outside_is_checked(tmp_path: Path) -> None:
    (tmp_path / "text.en").write_text("a\n", encoding="utf-8")
    values = {"download": {"sources": [{"kind": "files", "name": "text", "path": str(tmp_path / "text.{language}")}]}}
    missing = [
        {"name": "model", "model.name": str(tmp_path / "none")},
        {"name": "prior", "align.priors": str(tmp_path / "no")},
    ]
    runs = plan_runs(config.parse({**values, "store": str(tmp_path / "store")}), parse_sweep({"variants": missing}))
    with pytest.raises(InputError) as raised:
        check_runs(runs, online=False)
    for name in ("none", "no", "text.fr"):
        assert str(raised.value).count(f"{tmp_path / name}") >= 1, name


def test_the_example_of_the_page_has_as_many_runs_as_it_says() -> None:
    page = (ROOT / "docs/sweep.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    definition = parse_sweep(yaml.safe_load(example))
    runs = plan_runs(config.load(recipes.find("demo")), definition)
    variants = {run.variant.name for run in runs}
    assert f"This is {len(variants)} variants × {len(definition.sweep.seeds)} seeds" in page
    assert "temperature=0.03 anchor_weight=10" in variants


@pytest.mark.parametrize("name", sweeps.names())
def test_built_in_sweeps_are_valid(name: str) -> None:
    definition = load_sweep(sweeps.find(name))
    assert definition.sweep.name == name
    assert plan_runs(config.load(recipes.find("demo")), definition)
