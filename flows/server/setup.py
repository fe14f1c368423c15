"""Creates work pools and automations on a Prefect server, and records its deployments.

`python -m flows.server.setup` creates the pools of mlctl's deployments, of type process, and the automations on the server of `PREFECT_API_URL`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.variables import Variable
from prefect.workers.process import ProcessWorker

from flows.server.automations import create_automations
from mlctl.errors import InputError

#: Work pools with the maximum number of concurrent runs (None: unlimited).
POOLS: dict[str, int | None] = {"cpu": None, "gpu": 1}

_DEPLOYED = "mlctl_deployed"
_ENTRYPOINTS = ("flows.", "flows/")  # of mlctl's deployments: modules, and files until version 0.2.0


def create_pools(pools: Mapping[str, int | None]) -> None:
    """Create process work pools, each with its concurrency limit, and the automations; an existing pool is not changed."""
    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        for name, limit in pools.items():
            pool = WorkPoolCreate(name=name, type=ProcessWorker.type, base_job_template=template, concurrency_limit=limit)
            try:
                client.create_work_pool(pool)
            except ObjectAlreadyExists:
                continue
        create_automations(client)


def check_deployments(file: Path) -> None:
    """Check that prefect.yaml deploys flows of mlctl to processes, and no two under one name: the later would replace the earlier, or look like
    it in the UI.

    Raises:
        InputError: it deploys none, it deploys to containers, or two have one name.
    """
    values = _read(file)
    if values.get("build"):
        problem = f"{file} builds a container image, and `mlctl up` starts processes"
        remedy = "run `prefect --no-prompt deploy --all`; for processes, `mlctl init FOLDER` without --image writes another prefect.yaml"
        raise InputError(problem, remedy)
    deployments = [deployment for deployment in values.get("deployments") or [] if isinstance(deployment, dict)]
    if not any(str(deployment.get("entrypoint", "")).startswith(_ENTRYPOINTS) for deployment in deployments):
        problem = f"{file} has no deployment of mlctl's flows, such as `entrypoint: flows.pipeline.pipeline`"
        raise InputError(problem, "run `mlctl up` in a folder of its own; `mlctl init FOLDER` writes a prefect.yaml there")
    names = Counter(deployment.get("name") for deployment in deployments)
    if repeated := [str(name) for name, count in names.items() if count > 1]:
        raise InputError(f"{file}: two deployments are named {repeated[0]}", "give each deployment a name of its own")


def _read(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not a YAML file: {error}", "correct it; `mlctl init FOLDER` writes one that is") from None
    return values if isinstance(values, dict) else {}


def check_project(project: Path) -> None:
    """Check that the server's deployments are not those of another project folder, which deploying would replace.

    Raises:
        InputError: they are.
    """
    with get_client(sync_client=True) as client:
        deployments = [one for one in client.read_deployments() if (one.entrypoint or "").startswith(_ENTRYPOINTS)]
    folders = {folder for deployment in deployments for folder in _folders(deployment.pull_steps or [])}
    others = sorted(str(folder) for folder in folders if folder != project and folder.is_dir())
    if others:
        raise InputError(
            f"this server has the deployments of another folder: {', '.join(others)}",
            "run `mlctl up` there, or give this folder a server and a database of its own",
        )


def _folders(pull_steps: Iterable[dict[str, Any]]) -> Iterator[Path]:
    """Yield the folders from which a deployment is run."""
    for step in pull_steps:
        for settings in step.values():
            if isinstance(settings, dict) and settings.get("directory"):
                yield Path(settings["directory"])


def deployed_digest() -> str:
    """Return the digest that `record_deployed` recorded last."""
    return str(Variable.get(_DEPLOYED, default=""))


def record_deployed(digest: str) -> None:
    """Record on the server what its deployments were made from: until that changes they are not made again and keep changes made in the UI."""
    Variable.set(_DEPLOYED, digest, overwrite=True)


def deployments() -> list[str]:
    """Return the names of the deployments, `flow/deployment`."""
    with get_client(sync_client=True) as client:
        names = {flow.id: flow.name for flow in client.read_flows()}
        return sorted(f"{names[deployment.flow_id]}/{deployment.name}" for deployment in client.read_deployments())


def is_online(pool: str, since: float) -> bool:
    """Return whether a worker of a pool has sent a heartbeat since a time (seconds since 1970)."""
    with get_client(sync_client=True) as client:
        workers = client.read_workers_for_work_pool(pool)
    return any(worker.last_heartbeat_time and worker.last_heartbeat_time.timestamp() >= since for worker in workers)


if __name__ == "__main__":
    create_pools(POOLS)
