"""Work pools of type docker and kubernetes: base job templates and `prefect deploy` on a real server, up to the job that a worker starts.

No container runs here: what a worker of Prefect's integrations would give to Docker or Kubernetes is validated, and its command is run.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny
import yaml
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import PrefectHTTPStatusError
from prefect.utilities.importtools import import_object

from mlctl.project.new_project import SCRATCH, NewProject, write

pytest.importorskip("prefect_docker", reason="the extra containers is not installed")
pytest.importorskip("prefect_kubernetes", reason="the extra containers is not installed")
kubernetes_validate = pytest.importorskip("kubernetes_validate")

from docker.models.containers import _create_container_args  # noqa: E402
from prefect_docker.worker import DockerWorker, DockerWorkerJobConfiguration  # noqa: E402
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration  # noqa: E402

TEMPLATES = {path.stem: path for path in (Path(__file__).parents[2] / "deploy" / "pools").glob("*.json")}
CONFIGURATIONS = {"docker": DockerWorkerJobConfiguration, "kubernetes": KubernetesWorkerJobConfiguration}
WORKERS = {"docker": DockerWorker, "kubernetes": KubernetesWorker}
IMAGE = "registry.example/team/mine:2026-11-30"
SECRETS = ("aws-access-key-id", "aws-secret-access-key")
KUBERNETES = "1.34"
PATIENCE = 180  # seconds
FAST = {
    "align": {"engine": "fast_align", "workers": 1},
    "model": {"scratch": {"vocabulary": 300, "layers": 1, "hidden": 32, "heads": 2, "feed_forward": 64}},
    "clean": {"workers": 1},
}
DEPLOYED = {"pipeline", "train", "scrub"}


def template(name: str) -> dict[str, Any]:
    return dict(json.loads(TEMPLATES[name].read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def pools(server: str) -> Iterator[dict[str, WorkPool]]:
    """The pools on the server, which validates their templates, and the secrets that they refer to."""
    with get_client(sync_client=True) as client:
        made = {
            name: client.create_work_pool(
                WorkPoolCreate(name=f"test-{name}", type=name.partition("-")[0], base_job_template=template(name))
            )
            for name in TEMPLATES
        }
        for name in SECRETS:
            Secret(value=f"value of {name}").save(name)
        yield made
        for pool in made.values():
            client._client.delete(f"/work_pools/{pool.name}")
        for name in SECRETS:
            Secret.delete(name)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose deployments run in containers; a folder of this machine stands for /work of its image, with a recipe of seconds."""
    folder = tmp_path_factory.mktemp("project")
    write(NewProject("mine", "en", ("fr",), SCRATCH, "", image="registry.example/team/mine"), folder)
    recipe = tiny.recipe(folder / "store") | {"name": "mine", **FAST}
    (folder / "mine.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def deployed(project: Path, pools: dict[str, WorkPool]) -> Iterator[list[Any]]:
    """The deployments of the project's prefect.yaml on the server, but for the image, which is named instead of built."""
    text = (project / "prefect.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("/work\n", f"{project}\n"),
        ("{{ build-image.image }}", IMAGE),
        ("name: cpu,", "name: test-kubernetes-cpu,"),
    ):
        assert old in text
        text = text.replace(old, new)
    values = yaml.safe_load(text.replace("name: gpu,", "name: test-docker-gpu,"))
    del values["build"], values["push"]
    values["deployments"] = [one for one in values["deployments"] if one["name"] in DEPLOYED]
    (project / "deployed.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", "deployed.yaml"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "300"})
    assert done.returncode == 0, done.stdout + done.stderr
    with get_client(sync_client=True) as client:
        ours = DeploymentFilter(tags=DeploymentFilterTags(all_=["mlctl"]))
        found = [one for one in client.read_deployments(deployment_filter=ours) if one.work_pool_name.startswith("test-")]
        yield found
        for one in found:
            client.delete_deployment(one.id)


def job(pool: WorkPool, variables: dict[str, Any], deployment: Any = None) -> Any:
    """Return what the pool's worker makes of a run with these job variables."""

    async def prepare() -> Any:
        async with get_client() as client:
            kind = CONFIGURATIONS[pool.type]
            job = await kind.from_template_and_values(pool.base_job_template, variables, client=client)
            run = await client.create_flow_run_from_deployment(deployment.id) if deployment else None
            if run:
                job.prepare_for_flow_run(run, deployment, await client.read_flow(run.flow_id), pool, "worker")
                await client.delete_flow_run(run.id)
            return job

    return asyncio.run(prepare())


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_have_no_variable_that_nothing_uses_and_no_setting_that_the_worker_does_not_know(name: str) -> None:
    ours, theirs = template(name), WORKERS[name.partition("-")[0]].get_default_base_job_template()
    assert set(ours["job_configuration"]) <= set(theirs["job_configuration"])
    text = json.dumps(ours["job_configuration"])
    assert [variable for variable in ours["variables"]["properties"] if f"{{{{ {variable} }}}}" not in text] == []
    assert all(value["description"] and value["title"] for value in ours["variables"]["properties"].values())


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_the_templates_of_a_kind_differ_in_gpus_and_sizes_alone(kind: str) -> None:
    cpu, gpu = (template(f"{kind}-{pool}")["variables"]["properties"] for pool in ("cpu", "gpu"))
    different = {name for name in gpu if {**gpu[name], "default": 0} != {**cpu.get(name, {}), "default": 0}}
    assert different == {"gpus"}
    assert cpu["image"]["default"].removesuffix("cpu") == gpu["image"]["default"].removesuffix("cuda")


def test_deployments_have_their_image_and_no_folder_of_this_machine(deployed: list[Any]) -> None:
    assert {one.name for one in deployed} == DEPLOYED
    assert {one.job_variables["image"] for one in deployed} == {IMAGE}
    assert {len(one.pull_steps) for one in deployed} == {1}
    assert next(one for one in deployed if one.name == "scrub").parameters == {"store": "s3://mlctl/store"}


@pytest.mark.parametrize("pool", ["cpu", "gpu"])
def test_kubernetes_gets_a_valid_job(pool: str, pools: dict[str, WorkPool], deployed: list[Any]) -> None:
    train = next(one for one in deployed if one.name == "train")
    manifest = job(pools[f"kubernetes-{pool}"], train.job_variables, train).job_manifest
    pod = manifest["spec"]["template"]["spec"]
    del pod["parallelism"], pod["completions"]  # Prefect requires them here; Kubernetes ignores them: they belong to the job
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    assert container["args"] == ["prefect", "flow-run", "execute"]  # after the entrypoint of the image, tini
    assert container["resources"]["limits"].get("nvidia.com/gpu") == (1 if pool == "gpu" else None)
    assert {"secretRef": {"name": "mlctl-s3"}} in container["envFrom"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert pod["securityContext"]["runAsNonRoot"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert environment["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"  # a preempted run starts again


@pytest.mark.parametrize("pool", ["cpu", "gpu"])
def test_docker_gets_valid_arguments(pool: str, pools: dict[str, WorkPool], deployed: list[Any]) -> None:
    train = next(one for one in deployed if one.name == "train")
    variables = {**train.job_variables, "env": {"PREFECT_API_URL": "http://prefect.example/api"}}
    container = job(pools[f"docker-{pool}"], variables, train)
    assert container.env["AWS_SECRET_ACCESS_KEY"] == f"value of {SECRETS[1]}"
    settings = DockerWorker._build_container_settings(
        None, None, container
    )  # the URL of the API is no local one: Docker is not asked
    arguments = _create_container_args({**settings, "version": "1.44"})
    host = arguments["host_config"]
    assert (arguments["image"], arguments["command"]) == (IMAGE, "prefect flow-run execute")
    assert host["ShmSize"] >= 2 * 1024**3
    assert host["NanoCpus"] >= 10**9
    assert host["CapDrop"] == ["ALL"]
    assert [request["Capabilities"] for request in host.get("DeviceRequests", [])] == ([[["gpu"]]] if pool == "gpu" else [])


@pytest.mark.parametrize("changed", [{"gpus": 0}, {"cpu": 4}, {"volumes": "cache"}])
def test_the_server_refuses_wrong_job_variables(changed: dict[str, Any], pools: dict[str, WorkPool], deployed: list[Any]) -> None:
    with get_client(sync_client=True) as client, pytest.raises(PrefectHTTPStatusError, match="422"):
        client.create_deployment(
            deployed[0].flow_id,
            "wrong",
            work_pool_name="test-kubernetes-gpu",
            job_variables=changed,
            enforce_parameter_schema=False,
        )


@pytest.mark.parametrize("step", ["build", "push"])
def test_the_steps_take_what_prefect_yaml_gives_them(step: str, project: Path) -> None:
    values = yaml.safe_load((project / "prefect.yaml").read_text(encoding="utf-8"))
    ((path, inputs),) = values[step][0].items()
    given = {name: value for name, value in inputs.items() if name not in ("id", "requires")}
    bound = inspect.signature(import_object(path)).bind(**given)
    assert set(bound.arguments.get("build_kwargs", {})) <= {"pull"}  # the rest is checked by the signature


def start(run: Any, pool: WorkPool, deployment: Any, folder: Path) -> subprocess.Popen[str]:
    """Start what the container of a run starts, with its environment."""
    (container,) = job(pool, deployment.job_variables, deployment).job_manifest["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]} | {"PREFECT__FLOW_RUN_ID": str(run.id)}
    command = [sys.executable, "-m", *container["args"]]
    return subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def has_begun(results: Path) -> bool:
    """Return whether a training has begun to write its curves."""
    with contextlib.suppress(FileNotFoundError):  # folders come and go
        return any(results.rglob("events.out.tfevents*"))
    return False


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill a process and those that it has started, should any still run."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
    process.kill()


@pytest.mark.slow
def test_a_job_trains_and_when_its_pod_is_preempted_saves_a_checkpoint_and_is_scheduled_again(
    wheels: Path, project: Path, pools: dict[str, WorkPool], deployed: list[Any], tmp_path: Path
) -> None:
    """The flow is that of the installed package, the recipe that of the folder to which the pull step changes. Kubernetes sends SIGTERM to the
    first process of a pod that has to go.
    """
    pipeline = next(one for one in deployed if one.name == "pipeline")
    overrides = ["train.steps=100000", "train.checkpoint_seconds=10000"]
    parameters = {"recipe": "mine.yaml", "until": "train", "where": "here", "overrides": overrides}
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(pipeline.id, parameters=parameters)
        process = start(run, pools["kubernetes-cpu"], pipeline, tmp_path)
        try:
            end = time.monotonic() + PATIENCE
            while not has_begun(project / "store" / "train"):
                assert process.poll() is None, process.communicate()[0]
                assert time.monotonic() < end, "no training"
                time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=PATIENCE)
        finally:
            kill_all(process)
        state = client.read_flow_run(run.id).state
        client.delete_flow_run(run.id)
    assert process.returncode == 0, output
    assert state
    assert (state.type.value, state.name) == ("SCHEDULED", "AwaitingRetry"), output
    assert [path.name for path in (project / "store").rglob("checkpoints/step-*")], output
