"""The real flow on a tiny wheel: computed once, cached after, rebuilt exactly where something changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sentence_transformers import SentenceTransformer

import mlctl
from flows.evaluate import evaluate
from flows.prepare import prepare
from flows.train import train
from mlctl import config, recipes
from mlctl.cli.main import main
from mlctl.pipeline.cached_run import record_cached_run
from storage import Store
from storage.run_log import RunLog

STAGES = ["download", "clean", "translate", "align", "shard", "train", "evaluate", "report"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, wheels: Path, server: str) -> Path:
    """A store in which the tiny recipe ran once."""
    import tiny

    path = tmp_path_factory.mktemp("pipeline")
    (path / "tiny.yaml").write_text(yaml.safe_dump(tiny.recipe(path / "store")), encoding="utf-8")
    assert main(["run", str(path / "tiny.yaml")]) == 0
    return path


def states(folder: Path) -> dict[str, str]:
    return {stage.stage: stage.state for stage in RunLog(Store(folder / "store")).runs()[0].stages}


def run(folder: Path, *overrides: str) -> dict[str, str]:
    assert main(["run", str(folder / "tiny.yaml"), *overrides]) == 0
    return states(folder)


def task_states(server: str) -> dict[str, str]:
    """Return what the Prefect page shows for each task of the newest flow run."""
    flow_run = httpx.post(f"{server}/flow_runs/filter", json={"sort": "START_TIME_DESC", "limit": 1}).json()[0]
    found = httpx.post(f"{server}/task_runs/filter", json={"flow_runs": {"id": {"any_": [flow_run["id"]]}}}).json()
    return {task["name"].rsplit("-", 1)[0]: task["state"]["name"] for task in found}


def test_a_run_leaves_a_model_scores_and_a_report(folder: Path) -> None:
    results = {r.manifest.stage: r for r in Store(folder / "store").results()}
    assert sorted(results) == sorted(STAGES)
    assert (results["train"].folder / "model" / "model.safetensors").exists()
    assert "<html" in (results["report"].folder / "report.html").read_text(encoding="utf-8")
    assert all(r.manifest.versions["mlctl"] for r in results.values())


def test_a_second_run_computes_nothing_and_prefect_shows_it(folder: Path, server: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert set(run(folder).values()) == {"cached"}
    assert "nothing was computed" in capfd.readouterr().out
    assert task_states(server) == dict.fromkeys(STAGES, "Cached")


WITHOUT_PREFECT = """
import sys
from mlctl.cli.main import main
from mlctl.pipeline.cached_run import record_cached_run
status = main(["run", sys.argv[1]])
print("imported:", [name for name in ("prefect", "torch") if name in sys.modules])
raise SystemExit(status)
"""


def test_without_a_server_a_second_run_starts_none(folder: Path, tmp_path: Path) -> None:
    run(folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    environment |= {"PREFECT_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WITHOUT_PREFECT, str(folder / "tiny.yaml")]
    process = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "nothing was computed" in process.stdout
    assert "imported: []" in process.stdout
    assert set(states(folder).values()) == {"cached"}
    runs = len(RunLog(Store(folder / "store")).runs())
    changed = config.load(folder / "tiny.yaml", ["report.title=another"])
    assert record_cached_run(changed, "report") is None
    assert len(RunLog(Store(folder / "store")).runs()) == runs, "nothing is recorded of a run that is still to come"


def test_a_run_in_a_notebook_has_the_same_results(folder: Path, tmp_path: Path) -> None:
    run(folder)
    results = mlctl.run(folder / "tiny.yaml", verbose=False)
    assert states(folder) == dict.fromkeys(STAGES, "cached")
    later = ("train", "evaluate", "report")
    shutil.copytree(folder / "store", tmp_path / "store", ignore=shutil.ignore_patterns(*later))
    here = mlctl.run(folder / "tiny.yaml", overrides=[f"store={tmp_path / 'store'}"], verbose=False)
    assert [stage.state for stage in RunLog(Store(tmp_path / "store")).runs()[0].stages[-3:]] == ["computed"] * 3
    for stage in later:
        made, by_command = (Store("").open(found.folder(stage)).manifest for found in (here, results))
        assert (made.key, made.content) == (by_command.key, by_command.content), stage


def test_the_parts_of_the_pipeline_run_by_themselves(folder: Path, tmp_path: Path) -> None:
    run(folder)
    recipe = config.load(folder / "tiny.yaml")
    assert [part(recipe)["stage"] for part in (prepare, train, evaluate)] == ["shard", "train", "report"]
    newest = RunLog(Store(folder / "store")).runs()[0]
    assert newest.name == "evaluate"
    assert [s.stage for s in newest.stages if s.state == "cached"][-2:] == ["evaluate", "report"]
    assert {s.stage for s in newest.stages} == set(STAGES), "what it stands on is kept with it"
    state = train(recipe.model_copy(update={"store": str(tmp_path / "none")}), return_state=True)
    assert state.is_failed()
    assert "has no download result of this recipe\n  → run `mlctl shard` with this recipe first" in str(state.message)


def test_a_page_draws_which_stage_reads_which(folder: Path, server: str) -> None:
    run(folder)
    flow_run = httpx.post(f"{server}/flow_runs/filter", json={"sort": "START_TIME_DESC", "limit": 1}).json()[0]
    assert flow_run["name"].startswith("tiny, ")
    graph = httpx.get(f"{server}/flow_runs/{flow_run['id']}/graph-v2").json()
    names = {node_id: node["label"] for node_id, node in graph["nodes"]}
    read = {node["label"]: {names[parent["id"]] for parent in node["parents"]} for _, node in graph["nodes"]}
    assert read["clean"] == {"download"}
    assert read["align"] == {"clean", "translate"}
    assert read["evaluate"] == {"shard", "train"}
    assert read["report"] == set(STAGES) - {"report"}


def test_the_page_of_a_run_shows_what_the_stages_say(folder: Path, server: str) -> None:
    run(folder)
    said = httpx.post(f"{server}/logs/filter", json={"limit": 200, "sort": "TIMESTAMP_DESC"}).json()
    assert any(log["name"] == "mlctl.stages" and log["task_run_id"] and "train: cached" in log["message"] for log in said)


def test_a_run_shows_tables_and_links(folder: Path, server: str) -> None:
    run(folder)
    artifacts = httpx.post(f"{server}/artifacts/latest/filter", json={}).json()
    funnels = {f"{stage}-funnel" for stage in ("clean", "translate", "align", "shard")}
    assert {
        *funnels,
        "clean-rejected",
        "alignment",
        "benchmark",
        "benchmark-means",
        "training",
        "loss-curve",
        "judgements",
        "sentence-retrieval-curve",
        "word-retrieval-curve",
        "report",
        "differences",
        "summary",
    } <= {artifact["key"] for artifact in artifacts}
    (judged,) = (json.loads(artifact["data"]) for artifact in artifacts if artifact["key"] == "judgements")
    assert judged[0]["step"] == 0
    assert judged[-1]["word-retrieval"].endswith("%")
    (shown,) = (json.loads(artifact["data"]) for artifact in artifacts if artifact["key"] == "benchmark")
    assert {row["task"] for row in shown} == {"Sentence retrieval", "Word retrieval"}
    assert all(row["base"].endswith("%") and "…" in row["difference"] for row in shown)
    (summary,) = (artifact for artifact in artifacts if artifact["key"] == "summary")
    assert summary["flow_run_id"]
    assert summary["task_run_id"] is None, "it is of the whole run"
    assert "| Sentence retrieval | 2 | " in summary["data"]
    assert "| report | cached |" in summary["data"]
    assert "/report.html`" in summary["data"], "without a report server: a path, no link that the browser blocks"


@pytest.mark.slow
def test_a_cached_stage_shows_what_its_rules_dropped(folder: Path, server: str) -> None:
    assert run(folder)["clean"] == "cached"
    wanted = {"artifacts": {"key": {"any_": ["clean-rejected"]}}, "sort": "CREATED_DESC", "limit": 1}
    (shown,) = httpx.post(f"{server}/artifacts/filter", json=wanted).json()
    text = shown["data"]
    assert "## identical · " in text
    assert "- en `OK`  \n" in text
    assert "A random sample of the pairs" in text
    run(folder, "report.rejected_examples=0")
    assert httpx.post(f"{server}/artifacts/filter", json=wanted).json()[0]["id"] == shown["id"], "none wanted, none shown"


@pytest.mark.slow
def test_a_training_setting_reruns_training_and_what_follows(folder: Path, server: str) -> None:
    run(folder)
    changed = run(folder, "train.steps=5", "train.devices=[cpu, cpu]")
    assert [stage for stage in STAGES if changed[stage] == "computed"] == ["train", "evaluate", "report"]
    assert set(run(folder, "train.steps=5", "train.devices=cpu").values()) == {"cached"}
    said = httpx.post(f"{server}/logs/filter", json={"limit": 200, "sort": "TIMESTAMP_DESC"}).json()
    assert any(log["task_run_id"] and "training on 2 × cpu" in log["message"] for log in said), (
        "of a process that training started"
    )


@pytest.mark.slow
def test_a_seed_of_the_training_leaves_the_data_as_they_are(folder: Path) -> None:
    def training(*overrides: str) -> str:
        again = run(folder, *overrides)
        assert {stage for stage, state in again.items() if state != "cached"} <= {"train", "evaluate", "report"}
        return next(stage.key for stage in RunLog(Store(folder / "store")).runs()[0].stages if stage.stage == "train")

    keys = [training("train.steps=2", seed) for seed in ("train.seed=null", "train.seed=0", "train.seed=1")]
    assert keys[0] == keys[1], "the recipe's seed is 0"
    weights = [(folder / "store/train" / key / "model/model.safetensors").read_bytes() for key in keys]
    assert weights[1] != weights[2]


def test_a_setting_that_changes_no_result_reruns_nothing(folder: Path) -> None:
    run(folder)
    assert set(run(folder, "train.checkpoint_seconds=100", "align.workers=2").values()) == {"cached"}


@pytest.mark.parametrize("stage", ["download", "align", "train"])
@pytest.mark.slow
def test_a_damaged_file_rebuilds_just_its_result(folder: Path, stage: str) -> None:
    run(folder)
    key = next(s.key for s in RunLog(Store(folder / "store")).runs()[0].stages if s.stage == stage)
    result = Store(folder / "store").find(stage, key)
    assert result
    file = next(f for f in result.manifest.files if f.name.endswith(("parquet", "safetensors")))
    victim = result.folder / file.name
    victim.write_bytes(b"x" * file.bytes)
    rebuilt = run(folder)
    assert [name for name in STAGES if rebuilt[name] == "computed"] == [stage]
    assert victim.read_bytes() != b"x" * file.bytes


def test_explain_names_what_differs(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(folder)
    capfd.readouterr()
    assert main(["explain", "train", str(folder / "tiny.yaml"), "train.loss=info-nce"]) == 0
    said = capfd.readouterr().out
    assert "settings.train.loss" in said
    assert re.search(r"settings\.train\.loss │ +– +│ info-nce", said)  # null before: by kind of model
    main(["explain", "clean", str(folder / "tiny.yaml")])
    assert "cached" in capfd.readouterr().out
    main(["explain", "evaluate", str(folder / "tiny.yaml"), "train.loss=info-nce"])
    assert "waits for train" in capfd.readouterr().out
    assert main(["explain", "bake", str(folder / "tiny.yaml")]) == 1


def test_store_commands(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(folder)
    store = f"--store={folder / 'store'}"
    capfd.readouterr()
    assert main(["store", "ls", store]) == 0
    listed = capfd.readouterr().out
    assert all(stage in listed for stage in STAGES)
    assert main(["store", "verify", store]) == 0
    assert main(["runs", store]) == 0
    assert "completed" in capfd.readouterr().out
    assert main(["plan", str(folder / "tiny.yaml")]) == 0
    assert "cached" in capfd.readouterr().out
    assert main(["store", "gc", store, "--keep-runs=1"]) == 0
    assert set(run(folder).values()) == {"cached"}


def test_a_plan_names_what_would_run_why_and_what_it_costs(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(folder)
    capfd.readouterr()
    assert main(["plan", str(folder / "tiny.yaml"), "align.max_words=100", "train.steps=24", "--offline"]) == 0
    lines = {line.split()[0]: line for line in capfd.readouterr().out.splitlines() if line.strip()}
    assert all("cached" in lines[stage] for stage in ("download", "clean", "translate"))
    assert "would run" in lines["align"]
    assert "after align" in lines["shard"]
    assert "384 pairs" in lines["train"]
    assert lines["to"] == "to download: nothing"
    assert "without" not in lines["CPU"] + lines["disk:"], "each stage has been measured"
    assert "GPU" not in lines


def test_a_plan_without_measurements_says_so(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(folder / "tiny.yaml"), f"store={tmp_path}"]) == 0
    said = capfd.readouterr().out
    assert "never computed" in said
    assert "to download: unknown: tinylocales==1.0" in said
    assert "no estimate, nothing like it was measured in this store yet" in said


def test_export_makes_a_folder_to_publish(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(folder)
    made = tmp_path / "new" / "model"
    export = ["export", str(made), f"--store={folder / 'store'}"]
    assert main(export) == 0
    newest = RunLog(Store(folder / "store")).runs()[0]
    train = Store(folder / "store").find("train", next(stage.key for stage in newest.stages if stage.stage == "train"))
    assert train
    kept = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    of_model = {file.name.removeprefix("model/") for file in train.manifest.files if file.name.startswith("model/")}
    assert kept == of_model | {"README.md", "ATTRIBUTION.md", "figures.json", "mlctl.json"}
    assert json.loads((made / "mlctl.json").read_text())["run"] == newest.id
    assert "tinylocales" in (made / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in (made / "README.md").read_text(encoding="utf-8")
    assert (made / "config.json").stat().st_nlink == 1, "who edits the folder must not edit the store"
    vectors = SentenceTransformer(str(made), device="cpu", local_files_only=True).encode(["A green boat.", "Le bateau vert."])
    assert vectors.shape == (2, 32)
    assert main([*export, f"--run={newest.id[:20]}"]) == 0, "an export as it was written may be replaced"
    (made / "README.md").write_text("my own words")
    capfd.readouterr()
    assert main(export) == 1
    assert "README.md is new or changed" in capfd.readouterr().err
    assert (made / "README.md").read_text() == "my own words"


def test_export_refuses_and_leaves_nothing_behind(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def fails(*arguments: str) -> str:
        capfd.readouterr()
        assert main(["export", *arguments]) == 1
        return capfd.readouterr().err

    run(folder)
    store = f"--store={folder / 'store'}"
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    (full / "thesis.tex").write_text("years of work")
    file.write_text("x")
    assert "it has no mlctl.json" in fails(str(full), store)
    assert "it is a file" in fails(str(file), store)
    assert "cannot write" in fails(str(file / "below"), store)
    assert "matches no run" in fails(str(tmp_path / "a"), store, "--run=nosuch")
    assert "matches several runs" in fails(str(tmp_path / "a"), store, "--run=2")
    assert "there is no store" in fails(str(tmp_path / "a"), f"--store={tmp_path / 'nostore'}")
    main(["clean", str(folder / "tiny.yaml")])
    last = RunLog(Store(folder / "store")).runs()[0].id
    assert f"run {last} has no report" in fails(str(tmp_path / "a"), store, f"--run={last}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


def test_export_notices_a_damaged_model(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(folder)
    key = next(s.key for s in RunLog(Store(folder / "store")).runs()[0].stages if s.stage == "train")
    victim = Store(folder / "store").folder("train", key) / "model" / "model.safetensors"
    content, status = victim.read_bytes(), victim.stat()
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))  # so that only the digest can tell
    try:
        assert main(["export", str(tmp_path / "a"), f"--store={folder / 'store'}"]) == 1
    finally:
        victim.write_bytes(content)
        os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "is damaged: model/model.safetensors: its bytes have changed" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_stage_command_stops_after_its_stage(folder: Path, tmp_path: Path) -> None:
    assert main(["clean", str(folder / "tiny.yaml"), f"store={tmp_path / 'store'}"]) == 0
    assert {r.manifest.stage for r in Store(tmp_path / "store").results()} == {"download", "clean"}


@pytest.mark.slow
def test_an_encoder_folder_of_the_users_own_is_trained_further(folder: Path, tmp_path: Path) -> None:
    run(folder)
    trained = next(Store(folder / "store").results("train")[0].folder.glob("model"))
    own = tmp_path / "encoder"
    shutil.copytree(trained, own)
    changed = run(folder, f"model.name={own}", "train.learning_rate=1e-5")
    assert [stage for stage in STAGES if changed[stage] == "computed"] == ["shard", "train", "evaluate", "report"]
    result = next(r for r in Store(folder / "store").results("train") if r.manifest.parts["outside"]["weights"] != "scratch")
    assert not (result.folder / "base").exists()
    own.rename(tmp_path / "moved")
    assert set(run(folder, f"model.name={tmp_path / 'moved'}", "train.learning_rate=1e-5").values()) == {"cached"}


def test_references_are_json_and_nothing_is_pickled(folder: Path) -> None:
    forbidden = (".pkl", ".pickle", ".pt", ".bin", ".joblib")
    assert not [p for p in (folder / "store").rglob("*") if p.suffix in forbidden]
    for manifest in (folder / "store").glob("*/*/manifest.json"):
        json.loads(manifest.read_text(encoding="utf-8"))


def test_every_deployment_has_a_name_of_its_own_a_recipe_that_exists_and_the_version() -> None:
    root = Path(__file__).parents[2]
    deployments: list[dict[str, Any]] = yaml.safe_load((root / "prefect.yaml").read_text())["deployments"]
    assert len({d["name"] for d in deployments}) == len(deployments)
    assert {d["parameters"]["recipe"] for d in deployments if d["name"] != "scrub"} <= set(recipes.names())
    assert {d["version"] for d in deployments} == {mlctl.__version__}
