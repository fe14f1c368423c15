"""`mlctl runs` and the store that reading commands find."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlctl.cli.main import main
from mlctl.errors import InputError
from mlctl.pipeline.export import find_run
from storage import Store
from storage.run_log import RunLog, StageRun, short_ids


def record(store: Path, name: str, *stages: StageRun, overrides: tuple[str, ...] = ()) -> str:
    """Record a run that completed and return its id."""
    with RunLog(Store(store)).run("pipeline", {"name": name}, overrides) as run:
        run.stages += stages
    return run.id


@pytest.mark.parametrize("how", ["option", "recipe", "environment", "recipe before environment", "current folder"])
def test_the_store_is_found(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / ("mlctl-store" if how == "current folder" else "mine"), "first")
    record(tmp_path / "other", "second")
    (tmp_path / "r.yaml").write_text(f"name: x\nstore: {tmp_path / 'mine'}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLCTL_STORE", raising=False)
    if "environment" in how:
        monkeypatch.setenv("MLCTL_STORE", str(tmp_path / ("other" if "before" in how else "mine")))
    arguments = {"option": ["--store", str(tmp_path / "mine")], "recipe": ["--recipe", "r.yaml"]}
    arguments["recipe before environment"] = arguments["recipe"]
    assert main(["runs", *arguments.get(how, [])]) == 0
    assert "first" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [["runs"], ["store", "ls"], ["store", "verify"], ["store", "gc"], ["export", "model"], ["compare", "a", "b"]]
)
def test_without_a_store_it_is_an_error_and_nothing_is_created(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--store", "missing"]) == 1
    assert "there is no store at" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "origin"),
    [(["--store", "missing"], "--store"), (["--recipe", "r.yaml"], "the recipe r.yaml"), ([], "MLCTL_STORE")],
)
def test_a_missing_store_is_named_with_what_names_it(
    arguments: list[str], origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.yaml").write_text("name: x\nstore: missing\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLCTL_STORE", "missing")
    assert main(["export", "model", *arguments]) == 1
    problem = capsys.readouterr().err.splitlines()[0]
    assert str(tmp_path / "missing") in problem
    assert origin in problem


def test_an_export_of_a_result_that_was_removed_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path, "mine", StageRun("report", "a" * 24, "computed"))
    assert main(["export", str(tmp_path / "model"), "--store", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert f"the report result {'a' * 8} is missing from {tmp_path}" in said
    assert len(said.splitlines()) == 2
    assert not (tmp_path / "model").exists()


def test_a_run_has_a_short_id_its_overrides_and_one_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [record(tmp_path, "demo", overrides=("train.steps=20",)) for _ in range(40)]
    assert main(["runs", "--store", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "train.steps=20" in shown
    assert max(map(len, shown.splitlines())) <= 80
    log = RunLog(Store(tmp_path))
    for run_id, short in short_ids(log.runs()).items():
        assert short in shown
        assert [run.id for run in log.matching(short)] == [run_id]
    assert len(set(ids)) == 40


def test_a_prefix_of_several_runs_names_them(tmp_path: Path) -> None:
    ids = [record(tmp_path, "demo") for _ in range(2)]
    with pytest.raises(InputError) as caught:
        find_run(Store(tmp_path), ids[0][:6])
    assert all(run_id in str(caught.value) for run_id in ids)


def test_the_newest_run_is_that_of_the_recipe(tmp_path: Path) -> None:
    mine = record(tmp_path, "mine", StageRun("report", "a" * 24, "computed"))
    other = record(tmp_path, "other", StageRun("report", "b" * 24, "computed"))
    record(tmp_path, "mine", StageRun("report", "c" * 24, "interrupted"))
    assert find_run(Store(tmp_path), "").id == other
    assert find_run(Store(tmp_path), "", "mine").id == mine
    with pytest.raises(InputError, match="no run of third in"):
        find_run(Store(tmp_path), "", "third")


def test_the_stage_in_which_a_run_died_did_not_complete(tmp_path: Path) -> None:
    log = RunLog(Store(tmp_path))
    with pytest.raises(KeyboardInterrupt), log.run("pipeline", {"name": "demo"}) as run:
        run.stages.append(StageRun("report", "a" * 24))
        raise KeyboardInterrupt
    (read,) = log.runs()
    assert (read.status, read.stages[0].state) == ("interrupted", "interrupted")
