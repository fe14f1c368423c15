"""The tuple of stages: everything that iterates over stages agrees with it, and a key is computed once a stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlctl.config import Recipe
from mlctl.pipeline import cost_estimate
from mlctl.pipeline.challenge import challenge_stage
from mlctl.pipeline.plan import plan
from mlctl.pipeline.stage import Ref, Stage, StageContext, make, result_of
from mlctl.pipeline.stages import STAGES, stages_until
from mlctl.pipeline.warm_start import Choice, WarmStart
from mlctl.stage_names import STAGE_NAMES
from tasks.registry import TASKS


def test_names_sections_tasks_and_estimates_follow_the_tuple_of_stages() -> None:
    names = tuple(stage.name for stage in STAGES)
    assert names == STAGE_NAMES == tuple(TASKS) == tuple(cost_estimate._WORK)
    assert set(names) <= set(Recipe.model_fields)
    assert [stage.name for stage in stages_until("align")] == ["download", "clean", "translate", "align"]
    assert [planned.stage for planned in plan(Recipe(store="/nonexistent"), until="train")] == list(names[:6])


def test_a_stage_needs_only_stages_before_it() -> None:
    for number, stage in enumerate(STAGES):
        assert set(stage.needs) <= {before.name for before in STAGES[:number]}


def test_a_challenge_is_under_the_standard_protocol_alone() -> None:
    source = {"kind": "folder", "path": "data"}
    more = {"translate_train": {}, "protocols": ["layer-mixture"]}
    recipes = [
        Recipe.model_validate({"evaluate": {"benchmarks": [{"name": "panx", "source": source, **own}]}}) for own in ({}, more)
    ]
    keys = [challenge_stage({}).settings(recipe) for recipe in recipes]
    assert keys[0] == keys[1]
    assert STAGES[-2].settings(recipes[0]) != STAGES[-2].settings(recipes[1])


def test_the_parts_of_a_key_are_computed_once_and_what_is_reused_is_handed_to_the_work(tmp_path: Path) -> None:
    calls: list[str] = []
    source = tmp_path / "model"
    source.write_text("learned before")

    def choose(recipe: Recipe, base: object) -> Choice:
        calls.append("choose")
        return {"priors.fr": {"digest": "d", "path": str(source)}}

    def settings(recipe: Recipe) -> dict[str, int]:
        calls.append("settings")
        return {"seed": recipe.seed}

    def outside(recipe: Recipe) -> dict[str, str]:
        calls.append("outside")
        return {"file": "f"}

    def work(context: StageContext) -> dict[str, str]:
        calls.append("work")
        with context.workspace.part("copy") as path:
            path.write_text(context.reused["priors.fr"].read_text())
        return {}

    stage = Stage("align", 1, (), settings, work, outside, WarmStart("choices", lambda _: {"priors": "last"}, choose))
    ref, cached = make(stage, Recipe(store=str(tmp_path / "store")), ())
    assert not cached
    assert calls == ["settings", "outside", "choose", "work"]
    result = result_of(ref)
    assert (result.folder / "copy").read_text() == "learned before"
    assert result.manifest.parts["outside"] == {"file": "f", "priors.fr": "d"}


def test_a_missing_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="the align result aaaaaaaa is missing from"):
        result_of(Ref(stage="align", key="a" * 24, store=str(tmp_path)))
