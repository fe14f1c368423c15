"""A sweep on a tiny wheel: shared stages once, failures and kills lose nothing, the comparison is stored and shown."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from killing import kill_when, until

from flows.sweep import resolve_sweep
from mlctl.cli.main import main
from mlctl.config.sweep import Sweep
from mlctl.errors import InputError
from storage import Store
from storage.run_log import RunLog

pytestmark = pytest.mark.slow

SHARED = ["download", "clean", "translate", "align", "shard"]
SWEEP = {"name": "loss", "seeds": [0, 1], "grid": {"train.loss": ["cz-nce", "info-nce"]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, wheels: Path, server: str) -> Path:
    """A folder with a store in which the sweep ran once."""
    import tiny

    path = tmp_path_factory.mktemp("sweep")
    recipe = tiny.recipe(path / "store")
    recipe["languages"]["targets"] = ["fr"]
    recipe["translate"] = {"backend": "none"}
    recipe["train"] |= {"steps": 4}
    recipe["evaluate"] |= {"resamples": 200, "embedding_map_sentences": 0}
    (path / "tiny.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    write(path, "loss", SWEEP)
    assert sweep(path) == 0
    return path


def write(folder: Path, name: str, values: dict[str, Any]) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def sweep(folder: Path, name: str = "loss", *arguments: str) -> int:
    return main(["sweep", str(folder / "tiny.yaml"), str(folder / f"{name}.yaml"), *arguments])


def comparison(store: Path, name: str = "loss") -> dict[str, bytes]:
    """Return the files of the comparison of a sweep."""
    (result,) = (found for found in Store(store).results("sweep") if found.manifest.parts["settings"]["name"] == name)
    return {file.name: (result.folder / file.name).read_bytes() for file in result.manifest.files}


def test_a_flow_takes_a_file_its_content_or_a_sweep(tmp_path: Path) -> None:
    expected = [variant.settings for variant in resolve_sweep(SWEEP).variants("recipe")]
    assert expected == [{"train.loss": "cz-nce"}, {"train.loss": "info-nce"}]
    for given in (str(write(tmp_path, "loss", SWEEP)), Sweep(**SWEEP)):
        assert [variant.settings for variant in resolve_sweep(given).variants("recipe")] == expected
    assert [variant.name for variant in resolve_sweep("seeds").variants("recipe")] == ["recipe"]
    with pytest.raises(InputError, match="no sweep 'seed'"):
        resolve_sweep("seed")
    with pytest.raises(InputError, match="3 is not a sweep"):
        resolve_sweep(3)


def test_shared_stages_are_computed_once_and_each_run_is_recorded(folder: Path) -> None:
    runs = [run for run in RunLog(Store(folder / "store")).runs() if run.name == "pipeline"]
    computed = Counter(stage.stage for run in runs for stage in run.stages if stage.state == "computed")
    assert computed == Counter({**dict.fromkeys(SHARED, 1), "train": 4, "evaluate": 4})
    assert ["train.loss=info-nce", "train.seed=1"] in [run.overrides for run in runs]


def test_the_runs_are_subflows_with_readable_names_and_a_table(folder: Path, server: str) -> None:
    newest = {"sort": "START_TIME_DESC", "limit": 1, "flows": {"name": {"any_": ["sweep"]}}}
    parent = httpx.post(f"{server}/flow_runs/filter", json=newest).json()[0]
    assert parent["name"].startswith("loss of tiny, ")
    children = {"flow_runs": {"parent_flow_run_id": {"any_": [parent["id"]]}}}
    states = {run["name"]: run["state"]["name"] for run in httpx.post(f"{server}/flow_runs/filter", json=children).json()}
    names = [f"loss={loss}, seed {seed}" for loss in ("cz-nce", "info-nce") for seed in (0, 1)]
    assert states == dict.fromkeys(names, "Completed")
    artifacts = httpx.post(f"{server}/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [parent["id"]]}}}).json()
    table = json.loads(next(artifact["data"] for artifact in artifacts if artifact["key"] == "sweep"))
    assert [row["variant"] for row in table] == ["loss=cz-nce", "loss=info-nce"] * 2


def test_a_second_sweep_computes_nothing_and_stores_what_it_prints(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = comparison(folder / "store")
    assert sweep(folder) == 0
    printed = capfd.readouterr().out
    assert "4 runs: 0 computed, 4 cached; nothing was computed" in printed
    assert max(map(len, printed.partition("page:")[0].splitlines())) <= 80
    assert comparison(folder / "store") == before
    figures = json.loads(before["sweep.json"])
    (row,) = (row for row in figures["averages"] if row["task"] == "word-retrieval" and row["variant"] == "loss=info-nce")
    scores = [
        entry["score"]
        for entry in figures["trainings"]
        if (entry["task"], entry["variant"], entry["language"]) == ("word-retrieval", "loss=info-nce", None)
    ]
    assert (row["trainings"], row["score"]) == (2, pytest.approx(sum(scores) / 2))
    shown = f"{100 * row['score']:.1f} ± {100 * row['score_deviation']:.1f}"
    assert shown in printed
    assert shown in before["sweep.md"].decode()
    assert shown in before["sweep.html"].decode()
    assert before["sweep.html"].decode().count("<svg") == 2
    assert before["sweep.csv"].decode().splitlines()[0].endswith(",better,worse,train.loss")


def test_garbage_collection_keeps_all_runs_of_a_sweep(folder: Path) -> None:
    assert sweep(folder) == 0
    kept = {stage.key for stage in RunLog(Store(folder / "store")).runs()[0].stages}
    for stage in (*SHARED, "train", "evaluate", "sweep"):
        assert {result.manifest.key for result in Store(folder / "store").results(stage)} <= kept, stage


def test_the_run_log_lists_the_sweep_with_its_page(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert sweep(folder) == 0
    capfd.readouterr()
    assert main(["runs", f"--store={folder / 'store'}"]) == 0
    printed = "".join(capfd.readouterr().out.split())
    assert "sweep:4runsfinished" in printed
    assert "sweep.html" in printed


def test_the_plan_tells_runs_and_cached_results(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    more = write(folder, "more", {**SWEEP, "seeds": [0, 1, 2]})
    assert sweep(folder, more.stem, "--plan") == 0
    printed = capfd.readouterr().out
    assert "loss: 6 runs (2 variants × 3 seeds), compared with the base model of each run" in printed
    cells = {line.split()[0]: line.split()[1:4] for line in printed.splitlines() if len(line.split()) > 3}
    assert cells["shard"] == ["1", "1", "0"]
    assert cells["train"] == ["6", "4", "2"]
    assert "2 of 3" in printed


def test_a_variant_that_fails_and_one_that_is_killed_lose_no_other(
    folder: Path, server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    variants = [
        {"name": "no text", "clean": {"max_characters": 1}},
        {"name": "endless", "train.steps": 10**9},
        {"name": "info", "train.loss": "info-nce"},
    ]
    failing = write(folder, "failing", {"name": "failing", "seeds": [0], "variants": variants})
    with killing_a_run_with(folder / "store", "train.steps=1000000000"):
        assert sweep(folder, failing.stem) == 1
    printed = capfd.readouterr()
    assert "2 of 3 runs failed; the others are kept:\nno text, seed 0: " in printed.err
    assert "endless, seed 0: its process was ended by SIGKILL" in printed.err
    assert "no text: seed 0 failed" in printed.out
    figures = json.loads(comparison(folder / "store", "failing")["sweep.json"])
    assert [row["variant"] for row in figures["averages"]] == ["info", "info"]
    statuses = [run.status for run in RunLog(Store(folder / "store")).runs()]
    assert statuses[:3] == ["interrupted", "failed", "failed"], "endless, no text, the sweep"
    killed = httpx.post(f"{server}/flow_runs/filter", json={"flow_runs": {"name": {"any_": ["endless, seed 0"]}}}).json()
    assert [run["state"]["type"] for run in killed] == ["CRASHED"]


@contextlib.contextmanager
def killing_a_run_with(store: Path, override: str) -> Iterator[None]:
    """Kill the process of a run with an override when it trains."""

    def is_training() -> bool:
        runs = [run for run in RunLog(Store(store)).runs() if run.name == "pipeline" and override in run.overrides]
        return any(stage.stage == "train" for run in runs for stage in run.stages)

    def kill() -> None:
        until(is_training)
        server = next(child for child in psutil.Process().children() if "forkserver" in " ".join(child.cmdline()))
        for child in server.children():
            child.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    thread.join()


def test_all_problems_are_listed_before_anything_starts(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wrong = write(
        folder,
        "wrong",
        {"baseline": "none", "grid": {"train.temperature": [0.1, "warm"], "train.freezing": [1]}, "variants": [{"name": "a", "train.steps": 0}, {"name": "a"}]},
    )  # fmt: skip
    runs = len(RunLog(Store(folder / "store")).runs())
    assert sweep(folder, wrong.stem, "train.steps=3") == 1
    lines = capfd.readouterr().err
    assert lines.startswith("mlctl: 6 problems, found before anything was started:")
    assert f"{wrong}, line 5: train.temperature: give a number (given: 'warm')" in lines
    assert f"{wrong}, line 7: train.freezing: no such setting" in lines
    assert "2 variants are named 'a'" in lines
    assert "baseline: no variant is named 'none'" in lines
    assert f"{wrong}, line 10: train.steps is also set on the command line" in lines
    assert f"{wrong}, line 10: train.steps: give a number of at least 1 (given: 0)" in lines
    assert len(RunLog(Store(folder / "store")).runs()) == runs


def test_killed_and_resumed_the_comparison_is_equal(folder: Path, tmp_path: Path, server: str) -> None:
    store = tmp_path / "store"
    for stage in SHARED:
        shutil.copytree(folder / "store" / stage, store / stage)
    arguments = [str(folder / "tiny.yaml"), str(folder / "loss.yaml"), f"store={store}"]
    kill_when(lambda: Store(store).results("evaluate"), ["sweep", *arguments], tmp_path / "log")
    assert len(Store(store).results("evaluate")) < 4
    assert main(["sweep", *arguments, "--parallel", "2"]) == 0
    assert comparison(store) == comparison(folder / "store")
