"""Workers on the machines of a Ray cluster.

Each is a Ray actor that has a child process of its own, just as on one machine: a crash in it is told in the same words. Ray
starts the actors where there is room and says when one is lost; its job is then done again by another. Only JSON goes over
the network: jobs that name files, and what went wrong. The files lie where all machines see them under the same path.
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
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.execution.processes import ChildProcess, EndedError, done, failure

_ADDRESS = "RAY_ADDRESS"  # Ray's own variable
_LIVES = 5  # workers that may be lost over one job: with more, it is the job
_PATIENCE = 30.0  # seconds without room until it is said
_ANSWERS = 10.0  # seconds that a cluster may take to answer

_log = logging.getLogger(__name__)


class RayBackend:
    """A Ray cluster that this machine is part of: connected inside a `with` block.

    Raises:
        InputError: when entered: Ray is not installed, no address is given, no cluster answers, or it refuses.
    """

    gpus: int
    cores: int
    min_node_cores: int

    def __init__(self, address: str, workspace: Workspace) -> None:
        """Take the address (`host:port`; empty: that of RAY_ADDRESS) and the workspace of the stage, which all machines must see."""
        self._address, self._workspace = address, workspace
        self._mark = f"seen-by-{secrets.token_hex(8)}"
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_connected(found(self._address)))
            mark = self._workspace.scratch / self._mark
            mark.touch()
            stack.callback(mark.unlink, missing_ok=True)
            self._count()
            self._open = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def worker(self, module: str, gpus: float = 0) -> RayWorker:
        """Return a worker on some machine: one core, and `gpus` GPUs (a half: two workers share one), are its own."""
        return RayWorker(module, gpus, str(self._workspace.scratch / self._mark))

    def _count(self) -> None:
        import ray

        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cores = [int(resources["CPU"]) for resources in machines if resources.get("CPU")]
        self.cores, self.min_node_cores = sum(cores), min(cores, default=1)
        self.gpus = sum(int(resources.get("GPU", 0)) for resources in machines)
        if not cores:
            raise InputError("the Ray cluster has no CPU to work with", "start its machines with some: `ray start --num-cpus=…`")
        _log.info("Ray: %d machines with %d cores and %d GPUs", len(machines), self.cores, self.gpus)


class RayWorker:
    """A worker on some machine of the cluster."""

    def __init__(self, module: str, gpus: float, mark: str) -> None:
        self._module, self._gpus, self._mark = module, gpus, mark
        self._post: Any = None
        self._machine = ""
        self._killed = False
        self._changing = threading.Lock()

    def do(self, job: Any, what: str, remedy: str, seconds: float | None = None) -> None:
        """Have a job done, by another worker where one is lost with its machine; see `mlctl.execution.processes.Child.do`."""
        from ray.exceptions import RayActorError

        for _ in range(_LIVES):
            try:
                answer = self._ask(json.dumps(job), what, remedy, seconds)
            except RayActorError as lost:
                if self._killed:
                    raise EndedError(f"{what}: its process was ended", remedy) from None
                _log.warning("%s: its Ray worker on %s was lost; again on another", what, self._machine or "its way")
                reason = " ".join(str(lost).split())[:300]
                self._post = None
                continue
            if error := _failure(answer):
                raise error
            return
        raise EndedError(f"{what}: {_LIVES} Ray workers were lost over it, the last: {reason}", remedy)

    def kill(self) -> None:
        """End the worker at once, also one that is still on its way."""
        self._killed = True
        self.close()

    def close(self) -> None:
        """End the worker; Ray does it, and its process ends with it."""
        import ray

        with self._changing:
            if self._post is not None:
                ray.kill(self._post)

    def _ask(self, job: str, what: str, remedy: str, seconds: float | None) -> dict[str, Any]:
        import ray

        if self._post is None:
            self._start_worker()
        answer: dict[str, Any] = ray.get(self._post.do.remote(job, f"{what} on {self._machine}", remedy, seconds))
        return answer

    def _start_worker(self) -> None:
        import ray

        kind = ray.remote(num_cpus=1, num_gpus=self._gpus, max_restarts=0, scheduling_strategy="SPREAD")(WorkerActor)
        with self._changing:
            if self._killed:
                raise EndedError("a worker that was to start was ended", "run again")
            self._post = kind.remote(self._module)
        told = self._post.greet.remote(self._mark)
        if not ray.wait([told], timeout=_PATIENCE)[0]:
            wants = f"one core and {self._gpus:g} GPUs" if self._gpus else "one core"
            _log.info("waiting for room on the Ray cluster: %s for a worker of %s", wants, self._module)
        self._machine = _welcome(ray.get(told), Path(self._mark).parents[1])


class WorkerActor:
    """The actor: on its machine it has a child process do the jobs."""

    def __init__(self, module: str) -> None:
        self._child = ChildProcess(module)

    def greet(self, mark: str) -> dict[str, Any]:
        """Tell which machine this is, what is installed there, and whether it sees a file of the one that asks."""
        return {"machine": socket.gethostname(), "sees": Path(mark).exists(), "versions": _versions()}

    def do(self, job: str, what: str, remedy: str, seconds: float | None) -> dict[str, Any]:
        """Have a job done; return what went wrong, if anything did, for `_failure`."""
        try:
            return done(lambda given: self._child.do(given, what, remedy, seconds), json.loads(job))
        except RuntimeError as error:
            return {"failed": str(error)}


def found(address: str) -> str:
    """Return the address of the cluster that is to be used, where one answers.

    Raises:
        InputError: Ray is not installed, no address is given, or nothing answers there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported
    try:
        import ray  # noqa: F401
    except ImportError:
        raise InputError("executor is ray, but Ray is not installed", "pip install 'mlctl[ray]', on every machine") from None
    address = address or os.environ.get(_ADDRESS, "")
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise InputError(
            f"executor is ray, but {f'{address!r} is no address' if address else 'no address is given'}",
            f"set ray_address (or {_ADDRESS}) to the host:port that `ray start --head` tells",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWERS).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"no Ray cluster answers at {address}: {error}", "start it (`ray start --head`), or mend ray_address"
        ) from None
    return address


@contextlib.contextmanager
def _connected(address: str) -> Iterator[None]:
    import ray

    if ray.is_initialized():  # by whoever runs this inside Ray
        yield
        return
    with _own_handler():
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
def _own_handler() -> Iterator[None]:
    """Keep what is done at SIGTERM, for which Ray sets a handler of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _welcome(told: dict[str, Any], folder: Path) -> str:
    """Return the name of a machine that can take part.

    Raises:
        InputError: it has another version of mlctl or Python, or does not see the folder that the stage works in.
    """
    machine, here = told["machine"], _versions()
    if told["versions"] != here:
        theirs = ", ".join(f"{name} {version}" for name, version in told["versions"].items() if version != here[name])
        ours = ", ".join(f"{name} {here[name]}" for name, version in told["versions"].items() if version != here[name])
        raise InputError(f"{machine} of the Ray cluster has {theirs}, this machine {ours}", "install the same on all machines")
    if not told["sees"]:
        raise InputError(
            f"{machine} of the Ray cluster does not see {folder}",
            "put the store (of a store behind a URL: MLCTL_CACHE) on a file system that all machines have under the same path",
        )
    return str(machine)


def _versions() -> dict[str, str]:
    return {"mlctl": mlctl.__version__, "Python": ".".join(platform.python_version_tuple()[:2])}


def _failure(answer: dict[str, Any]) -> Exception | None:
    if "failed" in answer:
        return RuntimeError(answer["failed"])
    return failure(answer, "")
