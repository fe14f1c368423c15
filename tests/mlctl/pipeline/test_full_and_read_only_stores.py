"""A store on a volume that is full or read-only: cached work needs no write, other work ends with one message and loses nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

from mlctl.config import Recipe, parse
from mlctl.errors import DiskFullError, InputError
from mlctl.pipeline import run_log
from mlctl.pipeline.stage import Ref, make
from mlctl.pipeline.stages import stages_until
from mlctl.pipeline.store_session import use_store
from mlctl.stage_names import StageName
from storage import Store
from storage.run_log import RunLog


@pytest.fixture
def volume(mount_volume: Callable[[str], Path]) -> Path:
    return mount_volume("24m")


@pytest.fixture
def recipe(tmp_path: Path, volume: Path, wheels: Path) -> Recipe:
    values = tiny.recipe(volume / "store")
    values["download"]["lock"] = str(tmp_path / "corpora.lock")
    return parse(values)


def run(recipe: Recipe, until: StageName) -> list[str]:
    """Run stages in a recorded run, and return those that were cached."""
    refs, cached = dict[str, Ref](), []
    with use_store(recipe), run_log.record_run("pipeline", recipe):
        for stage in stages_until(until):
            refs[stage.name], found = make(stage, recipe, tuple(refs[name] for name in stage.needs))
            cached += [stage.name] * found
    return cached


def fill(volume: Path, room: int) -> Path:
    """Fill a volume but for some bytes, and return the file to remove."""
    ballast, status = volume / "ballast", os.statvfs(volume)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - room)
    return ballast


def test_a_run_whose_stages_are_cached_needs_no_write(recipe: Recipe, volume: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(recipe, "clean")
    subprocess.run(["mount", "-o", "remount,ro", str(volume)], check=True)
    assert run(recipe, "clean") == ["download", "clean"]
    assert "this run is not recorded" in caplog.text
    with pytest.raises(InputError, match="its volume is read-only"):
        run(recipe, "translate")
    subprocess.run(["mount", "-o", "remount,rw", str(volume)], check=True)
    assert run(recipe, "translate") == ["download", "clean"]


@pytest.mark.parametrize("until", ["download", "clean", pytest.param("shard", marks=pytest.mark.slow)])
def test_a_volume_that_is_full_when_a_stage_begins(recipe: Recipe, volume: Path, until: StageName) -> None:
    """When the first stage begins, when the choice of a warm start is written, when a tokenizer is saved."""
    before = [stage.name for stage in stages_until(until)][:-1]
    if before:
        run(recipe, before[-1])
    made = {result.manifest.key for result in Store(recipe.store).results()}
    ballast = fill(volume, 0)
    with pytest.raises(DiskFullError, match=rf"no space left on the volume of {volume}") as raised:
        run(recipe, until)
    assert "everything finished is kept" in str(raised.value)
    ballast.unlink()
    assert run(recipe, until) == before
    assert made <= {result.manifest.key for result in Store(recipe.store).results()}


def test_a_run_that_fills_the_volume_is_recorded_with_its_reason(recipe: Recipe, volume: Path) -> None:
    ballast = fill(volume, 150_000)
    with pytest.raises(DiskFullError):
        run(recipe, "shard")
    (recorded,) = RunLog(Store(recipe.store)).runs()
    assert recorded.status == "failed"
    assert recorded.error.startswith("no space left on the volume of")
    ballast.unlink()
    shutil.rmtree(volume / "store")
