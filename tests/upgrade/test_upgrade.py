"""Stores of earlier releases, each made once by that release (`make_store.py`): the present code uses their results, runs, champions and recipes."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import pytest

from mlctl import config
from mlctl.cli.main import main
from mlctl.pipeline.champion import challenger_recipe, model_of, registry_of
from mlctl.pipeline.plan import plan
from mlctl.pipeline.stages import STAGES
from storage import Store
from storage.run_log import RunLog

sys.path.append(str(Path(__file__).parent))

import make_store

RECIPE = "recipe.json"
ARCHIVES = sorted(Path(__file__).parent.glob("store-*.tar.xz"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def upgraded(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: with the recipe, text and store of a release, after `mlctl store migrate`."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    assert main(["store", "migrate", "--recipe", RECIPE]) == 0
    return tmp_path


def test_results_are_whole_and_used_where_the_stages_are_the_same(upgraded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "verify", "--recipe", RECIPE]) == 0
    made = {result.manifest.stage: result.manifest.parts["version"] for result in Store("store").results()}
    assert set(made) >= {stage.name for stage in STAGES}
    same = [stage.name for stage in STAGES if made[stage.name] == stage.version]
    unchanged = next((number for number, stage in enumerate(STAGES) if stage.name not in same), len(STAGES))
    recipe = config.load(Path(RECIPE))
    first = min(registry_of(recipe).read().champions, key=lambda champion: champion.number)
    planned = plan(challenger_recipe(recipe, first))  # what the second re-training ran
    assert all(stage.result for stage in planned[:unchanged]), [stage.stage for stage in planned if not stage.result]


def test_runs_can_be_listed_repeated_compared_and_exported(upgraded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = RunLog(Store("store")).runs()
    assert len(runs) >= 2
    for run in runs:
        assert config.parse(run.recipe).name == "tiny", "its recipe is valid"
    assert main(["runs", "--recipe", RECIPE]) == 0
    said = capsys.readouterr().out
    assert all(run.suffix[:4] in said for run in runs)
    assert main(["compare", runs[0].id, runs[1].id, "--recipe", RECIPE]) == 0
    assert (upgraded / "compare.html").is_file()
    assert main(["export", "exported", "--recipe", RECIPE, "--force"]) == 0
    assert (upgraded / "exported" / "model.safetensors").is_file()


@pytest.mark.slow
def test_the_next_champion_follows_the_one_of_the_release(
    upgraded: Path, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = config.load(Path(RECIPE))
    before = registry_of(recipe).read()
    assert before.champion
    assert len(before.champions) >= 2
    assert model_of(recipe, before.champion).is_dir()
    assert main(["champion", "rollback", RECIPE]) == 0
    assert registry_of(recipe).read().current < before.current

    make_store.write_text(upgraded, 240)
    assert main(["retrain", RECIPE]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(("Promoted: champion", "Kept: champion"))
    after = registry_of(recipe).read()
    assert after.seen != before.seen, "the changed text was noticed"
