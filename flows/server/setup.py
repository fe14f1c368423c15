"""Creates work pools and automations on a Prefect server, and records its deployments."""

from __future__ import annotations

from collections.abc import Mapping

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.variables import Variable
from prefect.workers.process import ProcessWorker

from flows.server.automations import create_automations

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
