"""The Ray backend: workers on the machines of a Ray cluster.

Each worker is a Ray actor with a child process, as on one machine, so a crash in a child gives the same error message. Ray
places the actors and reports lost ones; the job of a lost actor is run again on another. Only JSON goes over the network: jobs
that name files, and errors. The files are on a file system that all machines see under the same path.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import mlctl
from mlctl.core.distribution import install_extras
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.execution.processes import ChildProcess, ProcessDiedError, error_from_response, run_job

_ADDRESS_VARIABLE = "RAY_ADDRESS"  # Ray's own
_MAX_LOST_WORKERS = 5  # for one job; above this the job is at fault, not the machines
_PENDING_LOG_SECONDS = 30.0  # a worker that waits longer for free resources is logged
_CONNECT_SECONDS = 10.0

_log = logging.getLogger(__name__)


class RayBackend:
    """A Ray cluster that this machine is part of: connected inside a `with` block.

    Raises:
        InputError: on entry: Ray is not installed, no address is set, no cluster answers, or it refuses the connection.
    """

    gpus: int
    cores: int
    min_node_cores: int

    def __init__(self, address: str, workspace: Workspace) -> None:
        """Take the address (`host:port`; empty: that of RAY_ADDRESS) and the stage's workspace, which all machines must see."""
        self._address, self._workspace = address, workspace
        self._marker_name = f"seen-by-{secrets.token_hex(8)}"
        self._exit_stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_connection(check_cluster(self._address)))
            self._marker.touch()
            stack.callback(self._marker.unlink, missing_ok=True)
            self._count_resources()
            self._exit_stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit_stack.close()

    def start_worker(self, module: str, gpus: float = 0, cores: int = 1) -> RayWorker:
        """Return a worker on some machine, with `cores` cores and `gpus` GPUs (0.5: half of one) reserved for it."""
        return RayWorker(module, gpus, cores, str(self._marker))

    @property
    def _marker(self) -> Path:
        """A file in the workspace: a machine that does not see it cannot run workers."""
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


class RayWorker:
    """A worker on some machine of the cluster."""

    def __init__(self, module: str, gpus: float, cores: int, marker: str) -> None:
        self._module, self._gpus, self._cores, self._marker = module, gpus, cores, marker
        self._actor: Any = None
        self._node = ""
        self._killed = False
        self._lock = threading.Lock()

    def run(self, job: Any, description: str, remedy: str, timeout: float | None = None) -> None:
        """Run a job, on another worker if one is lost with its machine; see `mlctl.execution.processes.ChildProcess.run`."""
        from ray.exceptions import RayActorError

        for _ in range(_MAX_LOST_WORKERS):
            try:
                response = self._send(json.dumps(job), description, remedy, timeout)
            except RayActorError as error:
                if self._killed:
                    raise ProcessDiedError(f"{description}: its process was ended", remedy) from None
                _log.warning(
                    "%s: its Ray worker on %s was lost; retrying on another", description, self._node or "an unknown machine"
                )
                reason = " ".join(str(error).split())[:300]
                self._actor = None
                continue
            if job_error := _error_from_actor(response):
                raise job_error
            return
        raise ProcessDiedError(f"{description}: the job failed on {_MAX_LOST_WORKERS} Ray workers, at last: {reason}", remedy)

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

    def _send(self, job: str, description: str, remedy: str, timeout: float | None) -> dict[str, Any]:
        import ray

        if self._actor is None:
            self._start_actor()
        response: dict[str, Any] = ray.get(self._actor.run.remote(job, f"{description} on {self._node}", remedy, timeout))
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
        node_info = self._actor.describe_node.remote(self._marker)
        if not ray.wait([node_info], timeout=_PENDING_LOG_SECONDS)[0]:
            cores = "one core" if self._cores == 1 else f"{self._cores} cores"
            resources = f"{cores} and {self._gpus:g} GPUs" if self._gpus else cores
            _log.info("waiting for free Ray resources: %s for a worker of %s", resources, self._module)
        self._node = _check_node(ray.get(node_info), Path(self._marker).parents[1])


class WorkerActor:
    """The actor: runs jobs in a child process on its machine."""

    def __init__(self, module: str) -> None:
        self._child = ChildProcess(module)

    def describe_node(self, marker: str) -> dict[str, Any]:
        """Return the machine's name and versions, and whether it sees the marker file."""
        return {"node": socket.gethostname(), "sees_marker": Path(marker).exists(), "versions": _versions()}

    def run(self, job: str, description: str, remedy: str, timeout: float | None) -> dict[str, Any]:
        """Run a job and return the response, for `_error_from_actor`."""
        try:
            return run_job(lambda content: self._child.run(content, description, remedy, timeout), json.loads(job))
        except RuntimeError as error:
            return {"failed": str(error)}


def check_cluster(address: str) -> str:
    """Return the address of the cluster to connect to, once it answers.

    Raises:
        InputError: Ray is not installed, no address is set, or nothing answers there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported
    try:
        import ray  # noqa: F401
    except ImportError:
        raise InputError(
            "executor is ray, but Ray is not installed", f"run `{install_extras('ray')}`, on every machine"
        ) from None
    address = address or os.environ.get(_ADDRESS_VARIABLE, "")
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise InputError(
            f"executor is ray, but {f'{address!r} is not a valid address' if address else 'no address is set'}",
            f"set ray_address (or {_ADDRESS_VARIABLE}) to the host:port that `ray start --head` prints",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"no Ray cluster answers at {address}: {error}", "start it (`ray start --head`), or correct ray_address"
        ) from None
    return address


@contextlib.contextmanager
def _connection(address: str) -> Iterator[None]:
    import ray

    if ray.is_initialized():  # the caller runs inside Ray
        yield
        return
    with _restored_sigterm_handler():
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False, include_dashboard=False)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            reason = " ".join(str(error).split())[:500] or type(error).__name__
            raise InputError(
                f"the Ray cluster at {address} cannot be used: {reason}",
                "run mlctl on a machine of the cluster (`ray start --address=…`), with its Ray version and its RAY_AUTH_MODE or token",
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _restored_sigterm_handler() -> Iterator[None]:
    """Restore the handler of SIGTERM, which `ray.init` replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _check_node(node_info: dict[str, Any], folder: Path) -> str:
    """Return the name of a machine that can run workers.

    Raises:
        InputError: it has another version of mlctl or Python, or does not see the folder that the stage works in.
    """
    node, versions, required = node_info["node"], node_info["versions"], _versions()
    if versions != required:
        different = [name for name in versions if versions[name] != required[name]]
        remote, local = (", ".join(f"{name} {side[name]}" for name in different) for side in (versions, required))
        raise InputError(
            f"{node} of the Ray cluster has {remote}, this machine {local}", "install the same versions on all machines"
        )
    if not node_info["sees_marker"]:
        raise InputError(
            f"{node} of the Ray cluster does not see {folder}",
            "put the store (with a store behind a URL: MLCTL_CACHE) on a file system that all machines have under the same path",
        )
    return str(node)


def _versions() -> dict[str, str]:
    return {"mlctl": mlctl.__version__, "Python": ".".join(platform.python_version_tuple()[:2])}


def _error_from_actor(response: dict[str, Any]) -> Exception | None:
    if "failed" in response:
        return RuntimeError(response["failed"])
    return error_from_response(response, "")
