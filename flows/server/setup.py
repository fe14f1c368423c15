"""Creates work pools and automations on a Prefect server, and records its deployments."""

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

_DEPLOYED = "mlctl_deployed"


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


def check_names(file: Path) -> None:
    """Check that no two deployments of prefect.yaml have one name: the later would replace the earlier, or look like it in the UI.

    Raises:
        InputError: two have.
    """
    names = Counter(deployment.get("name") for deployment in yaml.safe_load(file.read_text(encoding="utf-8"))["deployments"])
    if repeated := [str(name) for name, count in names.items() if count > 1]:
        raise InputError(f"{file}: two deployments are named {repeated[0]}", "give each deployment a name of its own")


def check_checkout(project: Path) -> None:
    """Check that the server's deployments are not those of another checkout, which deploying would replace.

    Raises:
        InputError: they are.
    """
    with get_client(sync_client=True) as client:
        folders = {folder for deployment in client.read_deployments() for folder in _folders(deployment.pull_steps or [])}
    others = sorted(str(folder) for folder in folders if folder != project and (folder / "prefect.yaml").is_file())
    if others:
        raise InputError(
            f"this server has the deployments of another checkout: {', '.join(others)}",
            "run `mlctl up` there, or give this checkout a server and a database of its own",
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
