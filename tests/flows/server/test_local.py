"""One machine under `mlctl up`: deployments, triggering, crashes, cancelling. All real, on a recipe of seconds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.server.setup import check_deployments, check_project
from mlctl import recipes
from mlctl.errors import InputError
from mlctl.project.new_project import SCRATCH, NewProject, write
from storage import Store
from storage.run_log import RunLog

pytestmark = pytest.mark.slow

STAGES = ["download", "clean", "translate", "align", "shard", "train", "evaluate", "report"]
SLOW = {"steps": 200}  # long enough to be interrupted


def contents(store: Path) -> dict[str, str]:
    return {r.manifest.stage: f"{r.manifest.key} {r.manifest.content}" for r in Store(store).results()}


def checkpoint(store: Path) -> bool:
    """Tell whether an unfinished training has a checkpoint."""
    return any(path.is_file() for draft in Store(store).drafts() for path in draft.rglob("*") if draft.parent.name == "train")


@pytest.fixture(scope="module")
def silent(operated: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run that was killed together with its worker, right at the beginning: nobody is left to say so."""
    recipe = operated.recipe(tmp_path_factory.mktemp("silent") / "store")
    run_id = operated.start("prepare/prepare", recipe=recipe)
    operated.wait(run_id, "Running")
    operated.until(lambda: "starts" in operated.said(run_id), "a first heartbeat")
    operated.part("cpu").kill()
    operated.kill_run(run_id)
    assert operated.run(run_id)["state_name"] == "Running"
    assert "started a worker for the pool cpu" in operated.up()
    return str(run_id)


@pytest.fixture(scope="module")
def prepared(operated: Any, silent: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which `pipeline/demo` ran up to the shards, as a user asks for it."""
    store = tmp_path_factory.mktemp("prepared") / "store"
    file = store.with_name("mine.yaml")
    file.write_text(json.dumps(operated.recipe(store)), encoding="utf-8")
    named = (f"recipe={file}", 'overrides=["name=watched"]', "until=shard")
    watched = operated.do("prefect", "deployment", "run", "pipeline/demo", "--watch", *(f"--param={text}" for text in named))
    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert "shard: done" in watched.stdout, "the run's log"
    (run,) = RunLog(Store(store)).runs()
    assert (run.recipe["name"], run.overrides) == ("watched", ["name=watched"])
    assert set(contents(store)) == set(STAGES[:5])
    return store


def test_up_again_changes_nothing(operated: Any, silent: str) -> None:
    services = ("server", "reports", "cpu", "gpu")
    parts = [operated.part(name).pid for name in services]
    said = operated.up()
    assert f"http://127.0.0.1:{operated.port}" in said
    assert "started" not in said
    assert "deployed" not in said
    assert parts == [operated.part(name).pid for name in services]
    other = operated.mlctl("up", "--port", "1")
    assert other.returncode == 1
    assert f"the server is running on port {operated.port}" in other.stderr


def test_every_form_begins_with_the_name_of_a_recipe_and_overrides(operated: Any) -> None:
    found = {d["name"]: d for d in operated.post("deployments/filter", {})}
    assert set(found) == {"prepare", "train", "evaluate", "pipeline", "demo", "retrain", "sweep", "ledger", "scrub"}
    for deployment in (deployment for name, deployment in found.items() if name != "scrub"):
        form = deployment["parameter_openapi_schema"]["properties"]
        first, second = sorted(form, key=lambda name: form[name]["position"])[:2]
        assert (first, second) == ("recipe", "overrides")
        names, file, settings = form["recipe"]["anyOf"]
        assert names["enum"] == recipes.names()
        assert (file["type"], settings["$ref"]) == ("string", "#/definitions/Recipe")
        assert deployment["parameters"]["recipe"] == ("demo" if deployment["name"] == "demo" else "own.yaml")
        assert deployment["enforce_parameter_schema"]
    pools = {d["name"]: d["work_pool_name"] for d in found.values()}
    assert (pools["prepare"], pools["train"], pools["evaluate"], pools["pipeline"]) == ("cpu", "gpu", "gpu", "cpu")
    assert operated.post("work_pools/filter", {"work_pools": {"name": {"any_": ["gpu"]}}})[0]["concurrency_limit"] == 1


def test_another_project_does_not_replace_the_deployments(operated: Any, tmp_path: Path) -> None:
    with temporary_settings({PREFECT_API_URL: operated.api}):
        check_project(operated.project)
        with pytest.raises(InputError, match=f"the deployments of another folder: {operated.project}"):
            check_project(tmp_path)


def test_two_deployments_of_one_name_are_refused(tmp_path: Path) -> None:
    entries = ", ".join(f"{{name: {name}, entrypoint: flows.pipeline.pipeline}}" for name in ("demo", "mine", "demo"))
    (tmp_path / "prefect.yaml").write_text(f"deployments: [{entries}]", encoding="utf-8")
    with pytest.raises(InputError, match="two deployments are named demo"):
        check_deployments(tmp_path / "prefect.yaml")


@pytest.mark.parametrize("text", ["", "name: other", "deployments: [{name: demo, entrypoint: 'theirs.py:flow'}]"])
def test_the_prefect_file_of_something_else_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"no deployment of mlctl's flows(.|\n)*mlctl init"):
        check_deployments(tmp_path / "prefect.yaml")


def test_a_project_whose_deployments_run_in_containers_is_refused(tmp_path: Path) -> None:
    write(NewProject("mine", "en", ("fr",), SCRATCH, "", image="registry.example/mine"), tmp_path)
    with pytest.raises(InputError, match=r"builds a container image(.|\n)*prefect --no-prompt deploy --all"):
        check_deployments(tmp_path / "prefect.yaml")


def assert_that_the_report_opens_from_the_page(operated: Any, run_id: str, store: Path) -> None:
    """Follow the address in the run's artifacts and log; nothing else is served."""

    def links() -> list[str]:
        artifacts = operated.post("artifacts/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
        return [a["data"].split("](")[1].removesuffix(")") for a in artifacts if a["key"] == "report-page"]

    (link,) = operated.until(links, "the link to the report, which is sent while the run goes on")
    said = operated.said(run_id).splitlines()
    assert f"report: {link}" in said
    assert any(line.startswith("Sentence retrieval: ") and " → " in line for line in said)
    page = httpx.get(link)
    assert page.headers["content-type"].startswith("text/html")
    assert page.content == (Store(store).results("report")[0].folder / "report.html").read_bytes()
    folder = link.rpartition("/")[0]
    for path in ("manifest.json", "..%2freport.html", "%2e%2e/%2e%2e/corpora.lock", f"../{store.name}", "x" * 5000):
        assert httpx.get(f"{folder}/{path}").status_code == 404, path
    assert httpx.get(link, headers={"Host": "example.org"}).status_code == 400, "another site's page may not read it"
    assert httpx.post(link).status_code == 405


def test_two_runs_train_once_and_a_crashed_training_goes_on_from_its_checkpoint(
    operated: Any, prepared: Path, tmp_path: Path
) -> None:
    recipe = operated.recipe(prepared, **SLOW)
    both = [operated.start("pipeline/pipeline", recipe=recipe) for _ in range(2)]
    (first,) = operated.until(lambda: operated.runs("train"), "a training run")
    operated.wait(first["id"], "Running")
    operated.until(lambda: checkpoint(prepared), "a checkpoint")
    operated.kill_run(first["id"])
    operated.wait(first["id"], "Crashed")
    for run_id in both:
        operated.completes(run_id)

    runs = operated.runs("train")
    assert sorted(run["state_name"] for run in runs) == ["Completed", "Crashed"], "one attempt for both"
    second = next(run for run in runs if run["state_name"] == "Completed")
    assert second["name"].endswith("attempt 2")
    assert "train: resumes" in operated.said(second["id"])
    children = operated.post("flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": both}}})
    assert {first["id"], second["id"]} <= {child["id"] for child in children}, "the parents' pages show them"
    diary = [run for run in RunLog(Store(prepared)).runs() if run.stages[-1].stage == "report"]
    assert {(s.stage, s.state) for s in diary[0].stages} >= {("shard", "cached"), ("train", "computed"), ("evaluate", "computed")}

    calm = {**recipe, "store": str(tmp_path / "calm")}
    (tmp_path / "calm.yaml").write_text(json.dumps(calm))
    assert operated.mlctl("train", str(tmp_path / "calm.yaml")).returncode == 0
    assert contents(tmp_path / "calm")["train"] == contents(prepared)["train"]

    again = operated.start("pipeline/pipeline", recipe=recipe)
    operated.wait(again, "Completed")
    # nothing is triggered for what the store has; the server records the states of tasks a moment after that of the run
    operated.until(lambda: operated.tasks(again) == dict.fromkeys(STAGES, "Cached"), "every stage to be cached")
    assert_that_the_report_opens_from_the_page(operated, again, prepared)


def test_cancelling_a_run_ends_its_training_and_the_next_run_goes_on(operated: Any, prepared: Path) -> None:
    recipe = operated.recipe(prepared, steps=500)
    parent = operated.start("pipeline/pipeline", recipe=recipe, until="train")
    child = operated.until(lambda: [run for run in operated.runs("train") if run["state_name"] == "Running"], "training")[0]
    operated.until(lambda: checkpoint(prepared), "a checkpoint")
    assert operated.do("prefect", "flow-run", "cancel", parent).returncode == 0
    operated.wait(parent, "Cancelled")
    operated.wait(child["id"], "Cancelled")
    operated.until(lambda: not operated.processes(PREFECT__FLOW_RUN_ID=child["id"]), "the end of its processes")
    again = operated.start("train/train", recipe=recipe)
    operated.completes(again)
    assert "train: resumes" in operated.said(again)
    assert [s.stage for s in RunLog(Store(prepared)).runs()[0].stages][-1] == "train"


def test_a_failed_training_fails_the_pipeline_with_its_message(operated: Any, prepared: Path) -> None:
    parent = operated.start("pipeline/pipeline", recipe=operated.recipe(prepared, batch_size=5000))
    message = operated.wait(parent, "Failed", "Completed")["state"]["message"]
    assert "train: the run 'tiny: train " in message
    assert "train.batch_size" in message
    assert "/runs/flow-run/" in message


def test_a_server_that_was_killed_comes_back_and_the_run_completes(operated: Any, prepared: Path) -> None:
    recipe = operated.recipe(prepared, **SLOW, learning_rate=3e-3)
    run_id = operated.start("train/train", recipe=recipe)
    operated.wait(run_id, "Running")
    server = operated.part("server")
    for process in [*server.children(recursive=True), server]:
        process.kill()
    said = operated.up()
    assert "started the Prefect server" in said
    assert "worker" not in said
    operated.completes(run_id)


def test_a_schedule_fires(operated: Any, prepared: Path) -> None:
    deployment = operated.deployment("prepare/prepare")
    schedule = {
        "schedule": {"interval": 20, "anchor_date": datetime.now(UTC).isoformat()},
        "active": True,
        "parameters": {"recipe": operated.recipe(prepared)},
    }
    before = {run["id"] for run in operated.runs("prepare")}
    (made,) = operated.post(f"deployments/{deployment}/schedules", [schedule])

    def fired() -> list[dict[str, Any]]:
        return [run for run in operated.runs("prepare") if run["id"] not in before and run["state_name"] == "Completed"]

    assert operated.until(fired, "a scheduled run")[0]["auto_scheduled"]
    operated.ask("DELETE", f"deployments/{deployment}/schedules/{made['id']}")


def test_a_run_that_fell_silent_is_declared_crashed(operated: Any, silent: str) -> None:
    assert operated.wait(silent, "Crashed")["state"]["message"] == "no heartbeat: its process is gone"


def test_down_ends_everything_also_what_lost_its_parent(operated: Any, prepared: Path) -> None:
    run_id = operated.start("train/train", recipe=operated.recipe(prepared, steps=1000))
    operated.wait(run_id, "Running")
    operated.part("gpu").kill()
    assert operated.processes(PREFECT__FLOW_RUN_ID=run_id)
    done = operated.mlctl("down")
    assert done.returncode == 0
    assert done.stdout.startswith("stopped ")
    assert not operated.processes()
    assert operated.mlctl("down").stdout == f"nothing was running from {operated.state}\n"
    again = operated.mlctl("up")
    assert f"export PREFECT_API_URL={operated.api}" in again.stdout, "on the port of the last time"
    assert operated.run(run_id)["state_name"] == "Crashed", "it said so before it ended"
