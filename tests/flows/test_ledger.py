"""A ledger on sources whose worth is known: it tells them apart, computes nothing twice, and survives kills and failures."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import made_language
import pytest
import yaml
from killing import kill_when

from mlctl.cli.main import main
from storage import Store
from storage.run_log import RunLog

SHARED = ["download", "clean", "translate", "align", "shard"]
SOURCES = ["useful", "useless", "harmful"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, server: str) -> Path:
    """A folder with a store in which the ledger of all sources was written once."""
    path = tmp_path_factory.mktemp("ledger")
    made_language.write_sources(path)
    (path / "made.yaml").write_text(yaml.safe_dump(made_language.recipe(path, path / "store")), encoding="utf-8")
    assert ledger(path, "--sources") == 0
    return path


def ledger(folder: Path, *arguments: str) -> int:
    return main(["ledger", str(folder / "made.yaml"), *arguments])


def newest(store: Path) -> dict[str, bytes]:
    """Return the files of the ledger that the last run wrote or found."""
    run = next(run for run in RunLog(Store(store)).runs() if run.name == "ledger")
    key = next(stage.key for stage in run.stages if stage.stage == "ledger")
    result = Store(store).find("ledger", key)
    assert result
    return {file.name: (result.folder / file.name).read_bytes() for file in result.manifest.files}


def figures(store: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(newest(store)["ledger.json"])
    return loaded


def computed(store: Path) -> Counter[tuple[str, str]]:
    """Return how often each result was computed."""
    stages = (stage for run in RunLog(Store(store)).runs() for stage in run.stages)
    return Counter((stage.stage, stage.key) for stage in stages if stage.state == "computed")


def test_useful_useless_and_harmful_sources_are_told_apart(folder: Path) -> None:
    assert ledger(folder, "--sources") == 0
    found = {row["variant"]: row for row in figures(folder / "store")["gains"] if row["task"] == "word-retrieval"}
    assert {name: row["verdict"] for name, row in found.items()} == {
        "useful": "helps",
        "useless": "no difference",
        "harmful": "harms",
    }
    assert found["useful"]["difference"] > 0.2
    assert found["harmful"]["difference"] < -0.05
    assert abs(found["useless"]["difference"]) < 0.05
    assert all(row["low"] < row["difference"] < row["high"] for row in found.values())


def test_rows_costs_and_licences_are_beside_the_worth(folder: Path) -> None:
    assert ledger(folder, "--sources") == 0
    files = newest(folder / "store")
    components = {component["name"]: component for component in json.loads(files["ledger.json"])["components"]}
    assert {name: component["licences"] for name, component in components.items()} == {
        name: [licence] for name, licence in made_language.LICENCES.items()
    }
    rows = components["useful"]["rows"]
    assert (rows["downloaded"], rows["kept"]) == (500, 500)
    assert 400 < rows["trained"] < 500, "some are held out"
    costs = json.loads(files["costs.json"])["source"]
    assert set(costs) == set(SOURCES)
    assert all(cost["gpu_seconds"] is None for cost in costs.values())
    table = list(csv.DictReader(io.StringIO(files["ledger.csv"].decode())))
    assert [(row["component"], row["task"]) for row in table] == [
        (name, task) for name in SOURCES for task in ("sentence-retrieval", "word-retrieval")
    ]
    assert table[0]["licences"] == "CC-BY-4.0"
    page = files["ledger.html"].decode()
    assert page.count("<svg") == 2
    assert "no difference beyond chance" in page
    assert "CC-BY-4.0" in files["ledger.md"].decode()


def test_shared_stages_and_results_are_computed_once(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = newest(folder / "store")
    assert ledger(folder, "--sources") == 0
    printed = capfd.readouterr().out
    assert "12 runs: 0 computed, 12 cached; nothing was computed" in printed
    assert max(map(len, printed.partition("page:")[0].splitlines())) <= 80
    assert newest(folder / "store") == before
    counts = computed(folder / "store")
    assert set(counts.values()) == {1}
    assert Counter(stage for stage, _ in counts) >= Counter(
        {**dict.fromkeys(SHARED, 4), "train": 12, "challenge": 9, "ledger": 1}
    )


def test_the_runs_are_subflows_and_the_tables_artifacts(folder: Path, server: str) -> None:
    assert ledger(folder, "--sources") == 0
    newest_first = {"sort": "START_TIME_DESC", "limit": 1, "flows": {"name": {"any_": ["ledger"]}}}
    parent = httpx.post(f"{server}/flow_runs/filter", json=newest_first).json()[0]
    assert parent["name"].startswith("ledger of made, ")
    artifacts = httpx.post(f"{server}/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [parent["id"]]}}}).json()
    table = json.loads(next(artifact["data"] for artifact in artifacts if artifact["key"] == "ledger"))
    assert [(row["component"], row["verdict"]) for row in table if row["task"] == "Word retrieval"] == [
        ("useful", "helps"),
        ("useless", "no difference beyond chance"),
        ("harmful", "harms"),
    ]


def test_garbage_collection_keeps_all_runs_and_comparisons_of_a_ledger(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert ledger(folder, "--sources") == 0
    copy = folder / "copy"
    shutil.copytree(folder / "store", copy)
    for run in RunLog(Store(copy)).runs()[1:]:
        RunLog(Store(copy)).forget(run)
    assert main(["store", "gc", f"--store={copy}"]) == 0
    assert len(Store(copy).results("train")) == 12
    assert len(Store(copy).results("challenge")) == 9
    capfd.readouterr()
    assert ledger(folder, "--sources", f"store={copy}") == 0
    assert "12 cached; nothing was computed" in capfd.readouterr().out
    assert main(["runs", f"--store={copy}"]) == 0
    printed = "".join(capfd.readouterr().out.split())
    assert "ledger:12runsfinished" in printed
    assert "ledger.html" in printed


def test_the_plan_tells_runs_comparisons_and_cached_results(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runs = len(RunLog(Store(folder / "store")).runs())
    assert ledger(folder, "--sources", "--seeds", "4", "--plan") == 0
    printed = capfd.readouterr().out
    assert "ledger of made: 16 runs ((full recipe + 3 without a component) × 4 seeds)" in printed
    cells = {line.split()[0]: line.split()[1:4] for line in printed.splitlines() if len(line.split()) > 3}
    assert cells["shard"] == ["4", "4", "0"]
    assert cells["train"] == ["16", "12", "4"]
    assert cells["challenge"] == ["12", "9", "3"]
    assert "without source harmful" in printed
    assert "3 of 4" in printed
    assert len(RunLog(Store(folder / "store")).runs()) == runs


def test_a_rule_that_drops_nothing_is_worth_nothing_without_a_training(folder: Path) -> None:
    assert ledger(folder, "--only", "near duplicate", "--only", "length ratio") == 0
    components = figures(folder / "store")["components"]
    assert [(one["name"], one["state"], one["reason"]) for one in components] == [
        ("length ratio", "unchanged", "drops no row"),
        ("near duplicate", "unchanged", "drops no row"),
    ]
    assert len(Store(folder / "store").results("train")) == 12
    assert "worth nothing: drops no row" in newest(folder / "store")["ledger.md"].decode()


def test_one_source_and_one_language_leave_nothing_to_compare(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = json.dumps([made_language.recipe(folder, folder)["download"]["sources"][0]])
    assert ledger(folder, f"download.sources={source}") == 1
    assert "nothing that can be left out: useful is the only source; fr is the only target language" in capfd.readouterr().err


def test_a_source_that_brings_nothing_new_needs_no_training(folder: Path, tmp_path: Path) -> None:
    """A copy of another source: every pair is a duplicate, and the recipe without it leads to the same model."""
    recipe = made_language.recipe(folder, tmp_path / "store")
    recipe["download"]["sources"].append({**recipe["download"]["sources"][1], "name": "copy"})
    recipe["train"]["steps"] = 2
    (tmp_path / "made.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    assert ledger(tmp_path, "--only", "copy", "--seeds", "1") == 0
    (component,) = figures(tmp_path / "store")["components"]
    assert (component["state"], component["reason"]) == ("unchanged", "the recipe without it leads to the same model")
    assert component["rows"] == {"downloaded": 60, "kept": 0, "trained": 0}
    assert len(Store(tmp_path / "store").results("train")) == 1


def test_a_comparison_that_fails_is_named_and_the_ledger_written(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = ["shard.heldout_pairs=0", "train.steps=2", f"store={tmp_path / 'store'}"]
    assert ledger(folder, "--only", "useless", "--seeds", "1", *settings) == 1
    printed = capfd.readouterr()
    assert "without source useless, seed 0: comparison: no held-out pairs to evaluate on" in printed.err
    (component,) = figures(tmp_path / "store")["components"]
    assert (component["state"], component["failed"]) == ("not compared", [0])


def test_killed_and_resumed_the_ledger_is_equal_and_nothing_is_computed_twice(folder: Path, tmp_path: Path) -> None:
    chosen = ["--only", "harmful", "--seeds", "2"]
    assert ledger(folder, *chosen) == 0
    expected, store = newest(folder / "store")["ledger.json"], tmp_path / "store"
    for stage in SHARED:
        shutil.copytree(folder / "store" / stage, store / stage)
    arguments = [str(folder / "made.yaml"), *chosen, f"store={store}"]
    for stage in ("train", "challenge"):
        kill_when(lambda stage=stage: Store(store).results(stage), ["ledger", *arguments], tmp_path / "log")
    assert not Store(store).results("ledger")
    assert main(["ledger", *arguments, "--parallel", "2"]) == 0
    assert newest(store)["ledger.json"] == expected
    counts = computed(store)
    assert {stage for stage, _ in counts} == {"train", "challenge", "ledger"}
    assert set(counts.values()) == {1}
