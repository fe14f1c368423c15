"""The Ray backend: workers on the machines of a Ray cluster.

Each worker is a Ray actor with a child process, as on one machine, so a crash in a child gives the same error message. Ray
places the actors and reports lost ones; the scheduler runs the job of a lost actor again. Only JSON goes through Ray: jobs
that name files, and errors. The files are on a file system that all machines see under the same path, or go through the URL of
the store (`mlctl.execution.file_transfer`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.execution.backend import WorkerLostError
from mlctl.execution.file_transfer import DriverFiles, Transfer, WrittenPart
from mlctl.execution.processes import ProcessDiedError
from mlctl.execution.ray_actor import WorkerActor, check_node, error_from_actor, remove_files
from mlctl.execution.ray_cluster import check_cluster, connection

_MAX_LOST_STARTS = 5
_PENDING_LOG_SECONDS = 30.0  # a worker that waits longer for free resources is logged
_CLEAN_UP_SECONDS = 30.0

_log = logging.getLogger(__name__)


class RayBackend:
    """A Ray cluster that this machine is part of: connected inside a `with` block.

    Raises:
        InputError: on entry: Ray is not installed, no address is set, no cluster answers, or it refuses the connection.
    """

    gpus: int
    cores: int
    min_node_cores: int

    def __init__(self, address: str, workspace: Workspace, url: str = "") -> None:
        """Take the address of the cluster and the workspace of the stage.

        Args:
            address: `host:port`; empty: that of RAY_ADDRESS.
            workspace: of the stage.
            url: of the store that the workspace belongs to; empty: all machines must see the workspace.
        """
        self._address, self._workspace = address, workspace
        self._marker_name = f"seen-by-{secrets.token_hex(8)}"
        self._exit_stack = contextlib.ExitStack()
        self._files = TransferredFiles(Transfer.of(url, workspace.root)) if url else None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(connection(check_cluster(self._address)))
            self._marker.touch()
            stack.callback(self._marker.unlink, missing_ok=True)
            if self._files:
                stack.callback(self._files.clear)
            self._count_resources()
            self._exit_stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit_stack.close()

    def start_worker(self, module: str, gpus: float = 0, cores: int = 1) -> RayWorker:
        """Return a worker on some machine, with `cores` cores and `gpus` GPUs (0.5: half of one) reserved for it."""
        return RayWorker(module, gpus, cores, str(self._marker), self._files)

    @property
    def _marker(self) -> Path:
        """A file in the workspace: a machine that does not see it shares no folder with this one."""
        return self._workspace.scratch / self._marker_name

    def _count_resources(self) -> None:
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cores = [int(resources["CPU"]) for resources in nodes if resources.get("CPU")]
        self.cores, self.min_node_cores = sum(cores), min(cores, default=1)
        self.gpus = sum(int(resources.get("GPU", 0)) for resources in nodes)
        if not cores:
            raise InputError("the Ray cluster has no CPUs", "start its machines with CPUs: `ray start --num-cpus=…`")
        _log.info("Ray: %d machines with %d cores and %d GPUs", len(nodes), self.cores, self.gpus)


class TransferredFiles:
    """The files of a stage that go through a URL, and the machines that they go to."""

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer
        self.driver = DriverFiles(transfer)
        self._nodes: dict[str, str] = {}  # names by Ray's identifiers

    def add_node(self, identifier: str, name: str) -> None:
        """Note that a machine gets files."""
        if identifier not in self._nodes:
            self._nodes[identifier] = name
            _log.info("%s does not see this machine's folders: its files go through %s", name, self.transfer.url)

    def clear(self) -> None:
        """Remove the files of the steps from the URL, and the copies from the machines that got some."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        removals = []
        for node in self._nodes:
            strategy = NodeAffinitySchedulingStrategy(node, soft=True)
            remove = ray.remote(num_cpus=0, scheduling_strategy=strategy)(remove_files)
            removals.append(remove.remote(self.transfer.model_dump_json()))
        if removals:
            ray.wait(removals, num_returns=len(removals), timeout=_CLEAN_UP_SECONDS)
        try:
            self.driver.clear()
        except InputError as error:
            _log.warning("files of finished steps are left behind: %s", error.problem)


class RayWorker:
    """A worker on some machine of the cluster."""

    def __init__(self, module: str, gpus: float, cores: int, marker: str, files: TransferredFiles | None) -> None:
        self._module, self._gpus, self._cores, self._marker, self._files = module, gpus, cores, marker, files
        self._actor: Any = None
        self._node = ""
        self._transfers = False
        self._killed = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Wait until Ray has found a machine with room for the worker."""
        from ray.exceptions import RayActorError

        for _ in range(_MAX_LOST_STARTS):
            try:
                if self._actor is None:
                    self._start_actor()
            except RayActorError as error:
                self._actor = None
                if self._killed:
                    raise ProcessDiedError("a worker was stopped before it had started", "run again") from None
                reason = " ".join(str(error).split())[:300]
            else:
                return
        raise InputError(
            f"Ray lost {_MAX_LOST_STARTS} workers while they started, at last: {reason}", "check the machines of the cluster"
        )

    def run(self, job: Any, description: str, remedy: str, timeout: float | None = None, reads: Sequence[Path] = ()) -> None:
        """Run a job; see `mlctl.execution.backend.Worker.run`."""
        from ray.exceptions import RayActorError

        self.start()
        try:
            response = self._send(json.dumps(job), description, remedy, timeout, reads)
        except RayActorError as error:
            if self._killed:
                raise ProcessDiedError(f"{description}: its process was ended", remedy) from None
            self._actor = None
            reason = " ".join(str(error).split())[:300]
            raise WorkerLostError(f"{description}: its Ray worker on {self._node} was lost: {reason}") from None
        if job_error := error_from_actor(response):
            raise job_error
        if self._files and self._transfers:
            self._files.driver.receive([WrittenPart.model_validate(part) for part in response["parts"]])

    def kill(self) -> None:
        """Stop the worker at once, also one that has not started yet."""
        self._killed = True
        self.close()

    def close(self) -> None:
        """Stop the worker; its child process ends with the actor."""
        import ray

        with self._lock:
            if self._actor is not None:
                ray.kill(self._actor)

    def _send(self, job: str, description: str, remedy: str, timeout: float | None, reads: Sequence[Path]) -> dict[str, Any]:
        import ray

        inputs = self._files.driver.publish(reads).model_dump_json() if self._files and self._transfers else ""
        run = self._actor.run.remote(job, f"{description} on {self._node}", remedy, timeout, inputs)
        response: dict[str, Any] = ray.get(run)
        return response

    def _start_actor(self) -> None:
        import ray

        actor_class = ray.remote(num_cpus=self._cores, num_gpus=self._gpus, max_restarts=0, scheduling_strategy="SPREAD")(
            WorkerActor
        )
        with self._lock:
            if self._killed:
                raise ProcessDiedError("a worker was stopped before it had started", "run again")
            self._actor = actor_class.remote(self._module)
        described = self._actor.describe_node.remote(self._marker)
        if not ray.wait([described], timeout=_PENDING_LOG_SECONDS)[0]:
            cores = "one core" if self._cores == 1 else f"{self._cores} cores"
            resources = f"{cores} and {self._gpus:g} GPUs" if self._gpus else cores
            _log.info("waiting for free Ray resources: %s for a worker of %s", resources, self._module)
        node_info = ray.get(described)
        self._node = check_node(node_info, Path(self._marker).parents[1], transfers=self._files is not None)
        self._transfers = not node_info["sees_marker"]
        if self._files and self._transfers:
            self._files.add_node(node_info["identifier"], self._node)
            if error := error_from_actor(ray.get(self._actor.transfer_files.remote(self._files.transfer.model_dump_json()))):
                raise error
