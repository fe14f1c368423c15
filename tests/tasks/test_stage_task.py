"""What every stage task has in common, shown on a stage of two lines: states, keys, waiting for another builder."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.schemas.objects import State

from mlctl.config import Recipe
from mlctl.errors import InputError
from mlctl.pipeline.stage import Ref, Stage, StageContext, make
from tasks.stage_task import run_stage, stage_task

CALLS: list[int] = []


def work(context: StageContext) -> dict[str, Any]:
    recipe, workspace, progress = context.recipe, context.workspace, context.progress
    CALLS.append(recipe.seed)
    if recipe.seed == 13:
        raise InputError("seed 13 is unlucky", "take another")
    with workspace.part("seed.txt") as path:
        path.write_text(str(recipe.seed))
    progress(1, 1, "seeds")
    return {"seed": recipe.seed}


STAGE = Stage("clean", 1, (), lambda recipe: {"seed": recipe.seed}, work)


@stage_task
def clean(recipe: Recipe) -> Ref:
    return run_stage(STAGE, recipe)


@flow(name="two-lines")
def twice(recipe: Recipe) -> list[State[Any]]:
    return [clean(recipe, return_state=True), clean(recipe, return_state=True)]


@flow(name="one-line")
def once(recipe: Recipe) -> Ref:
    return clean(recipe)


def test_first_completed_then_cached(server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    CALLS.clear()
    with caplog.at_level(logging.INFO, "mlctl.stages"):
        first, second = twice(Recipe(store=str(tmp_path)))
    assert "clean: starts" in caplog.text
    assert "clean: resumes" not in caplog.text
    assert (first.name, second.name) == ("Completed", "Cached")
    assert second.is_completed()
    assert CALLS == [0]
    ref = once(Recipe(store=str(tmp_path)))
    assert ref == {"stage": "clean", "key": ref["key"], "store": str(tmp_path)}
    assert (tmp_path / "clean" / ref["key"] / "seed.txt").read_text() == "0"


def test_what_the_user_can_mend_fails_with_its_message_and_no_traceback(
    server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(InputError, match="unlucky"):
        make(STAGE, Recipe(store=str(tmp_path), seed=13), ())
    state = clean(Recipe(store=str(tmp_path), seed=13), return_state=True)
    assert state.is_failed()
    assert state.message == "seed 13 is unlucky\n  → take another"
    assert not [record for record in caplog.records if record.exc_info]


def test_the_code_version_is_part_of_the_key(tmp_path: Path) -> None:
    newer = Stage("clean", 2, (), STAGE.settings, work)
    recipe = Recipe(store=str(tmp_path))
    assert make(STAGE, recipe, ())[0]["key"] != make(newer, recipe, ())[0]["key"]


def test_two_processes_make_a_result_once(tmp_path: Path) -> None:
    script = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_stage_task
from mlctl.config import Recipe
from mlctl.pipeline.stage import Stage, StageContext, make
def slow(context):
    time.sleep(1)
    with open({str(tmp_path / "made")!r}, "a") as file:
        file.write("x")
    return test_stage_task.work(context)
print(make(Stage("clean", 1, (), lambda recipe: {{}}, slow), Recipe(store={str(tmp_path / "store")!r}), ()))
"""
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert (tmp_path / "made").read_text() == "x"
    assert sorted(text.rsplit(", ", 1)[1] for text in said) == ["False)\n", "True)\n"]
