"""What a Prefect server has to know of this project: work pools, automations, and which deployments it has."""

from __future__ import annotations

from collections.abc import Mapping

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.variables import Variable
from prefect.workers.process import ProcessWorker

from flows.guards import set_guards

_DEPLOYED = "mlctl_deployed"


def make_pools(pools: Mapping[str, int | None]) -> None:
    """Make work pools of processes, each with its limit, and the automations; a pool that is there stays as it is."""
    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        for name, limit in pools.items():
            pool = WorkPoolCreate(name=name, type=ProcessWorker.type, base_job_template=template, concurrency_limit=limit)
            try:
                client.create_work_pool(pool)
            except ObjectAlreadyExists:
                continue
        set_guards(client)


def deployed() -> str:
    """Return what `note_deployed` noted last."""
    return str(Variable.get(_DEPLOYED, default=""))


def note_deployed(digest: str) -> None:
    """Note on the server what its deployments were made of: they are not made again, and keep what was changed in the UI, until that changes."""
    Variable.set(_DEPLOYED, digest, overwrite=True)


def deployments() -> list[str]:
    """Return the names of the deployments, as Prefect's commands take them."""
    with get_client(sync_client=True) as client:
        names = {flow.id: flow.name for flow in client.read_flows()}
        return sorted(f"{names[found.flow_id]}/{found.name}" for found in client.read_deployments())


def is_online(pool: str, since: float) -> bool:
    """Tell whether a pool's worker has reported since a time (seconds since 1970)."""
    with get_client(sync_client=True) as client:
        workers = client.read_workers_for_work_pool(pool)
    return any(worker.last_heartbeat_time and worker.last_heartbeat_time.timestamp() >= since for worker in workers)
