"""The processes of one machine: a Prefect server, a report server, a worker for each work pool, and the deployments."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

import flows
from flows.server import setup
from flows.server.setup import POOLS
from mlctl import config, recipes
from mlctl.core.files import atomic_write_text
from mlctl.core.locks import locked
from mlctl.core.top_level import check_project
from mlctl.errors import InputError
from mlctl.project import PREFECT_FILE
from tasks import report_links

#: Folder of server data and logs in a project folder, if no other is given.
STATE = ".mlctl"

SERVER, REPORTS = "server", "reports"
DEFAULT_PORT = 4200

_PORTS = "ports.json"
_MARK = "MLCTL_UP"  # set in the environment of all started processes and their children; its value is the state folder
_RUN = "PREFECT__FLOW_RUN_ID"  # set by Prefect in the environment of a flow run's process
_START_TIMEOUT = 180.0  # seconds until a service must be ready, on a machine under load
_STOP_TIMEOUT = 30.0  # seconds that a process has to end by itself

# Environment of Prefect's processes: a run survives 15 minutes without its server, and starts a few seconds after it is requested.
_SETTINGS = {
    "PREFECT_CLIENT_MAX_RETRIES": "9",
    "PREFECT_WORKER_QUERY_SECONDS": "3",
    "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",  # `prefect deployment run --watch` shows a run's log
    "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class LocalServices:
    """The services of one state folder; the servers listen on these ports of the loopback interface.

    Runs start in the folder `project`: relative paths of recipes and stores begin there.
    """

    state: Path
    project: Path
    port: int
    reports_port: int

    @classmethod
    def of(cls, state: Path, port: int | None = None) -> LocalServices:
        """Return the services of a state folder, for the current folder as their project: on the ports on which they were started before, else on
        `port` and the next free one.

        Raises:
            InputError: the server is running on another port.
        """
        ports = _read_ports(state)
        if port not in {None, ports.get(SERVER)} and running(state, SERVER):
            raise InputError(f"the server is running on port {ports[SERVER]}", "run `mlctl down` first, or omit --port")
        chosen = port or ports.get(SERVER, DEFAULT_PORT)
        reports = ports.get(REPORTS, chosen + 1)
        if not running(state, REPORTS):
            reports = next(free for free in range(reports, 65536) if free != chosen and _is_free(free))
        return cls(state, Path.cwd(), chosen, reports)

    @property
    def ui(self) -> str:
        """URL of the Prefect UI."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        """URL of the Prefect API."""
        return f"{self.ui}/api"

    @property
    def reports(self) -> str:
        """URL of the report server."""
        return f"http://127.0.0.1:{self.reports_port}"

    @property
    def report_links(self) -> dict[str, str]:
        """Environment in which a run links its report to the report server."""
        return {report_links.URL: self.reports, report_links.STORES: str(self.state / "stores.json")}

    @property
    def prefect_file(self) -> Path:
        """File with the deployments: prefect.yaml of the project, else that of the package."""
        own = self.project / PREFECT_FILE.name
        return own if own.is_file() else PREFECT_FILE

    @property
    def logs(self) -> Path:
        """Folder of the log files."""
        return self.state / "logs"

    def up(self, report: Callable[[str], None]) -> None:
        """Start the services that are not running and wait until all are ready; call `report` with each that was started.

        Raises:
            InputError: a service did not start, the port is in use, or the project hides a package of mlctl.
        """
        check_project(self.project)
        setup.check_deployments(self.prefect_file)
        self.logs.mkdir(parents=True, exist_ok=True)
        with locked(self.state / "lock"):
            if self._start(SERVER, *_prefect("server", "start", "--host", "127.0.0.1", "--port", str(self.port))):
                report(f"started the Prefect server on port {self.port}")
            self._start_reports(report)
            self._write_ports()
            self._wait(SERVER, self._is_healthy)
            self._deploy_all(report)
            for pool, limit in POOLS.items():
                self._start_worker(pool, limit, report)

    def _start_reports(self, report: Callable[[str], None]) -> None:
        command = [sys.executable, "-m", "flows.server.reports", str(self.reports_port), self.report_links[report_links.STORES]]
        if self._start(REPORTS, *command):
            report(f"started the report server on port {self.reports_port}")
            self._wait(REPORTS, lambda: _is_used(self.reports_port))

    def _write_ports(self) -> None:
        """Keep the ports, so that the next `mlctl up` uses them again and addresses stay valid."""
        atomic_write_text(self.state / _PORTS, json.dumps({SERVER: self.port, REPORTS: self.reports_port}))

    def _deploy_all(self, report: Callable[[str], None]) -> None:
        """Create the work pools, the automations and the deployments."""
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.api}):
            setup.check_project(self.project)
            setup.create_pools(POOLS)
            if setup.deployed_digest() != (digest := self._digest()):
                self._deploy()
                setup.record_deployed(digest)
                report("deployed " + ", ".join(setup.deployments()))

    def _deploy(self) -> None:
        log = self.logs / "deploy.log"
        with log.open("w") as out:
            command = _prefect("deploy", "--all", "--prefect-file", str(self.prefect_file))
            done = subprocess.run(command, cwd=self.project, env=self._environment(), stdout=out, stderr=out, check=False)
        if done.returncode:
            raise InputError(f"`prefect deploy --all` failed:\n{_tail(log)}", f"see {log}")

    def _digest(self) -> str:
        """Return a digest of everything that the deployments are made from."""
        digest = hashlib.sha256(json.dumps(config.Recipe.model_json_schema(), sort_keys=True).encode())
        digest.update(json.dumps([recipes.names(), str(self.project)]).encode())
        for file in (self.prefect_file, *sorted(Path(flows.__file__).parent.glob("*.py"))):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def _start_worker(self, pool: str, limit: int | None, report: Callable[[str], None]) -> None:
        since = time.time()
        limited = ("--limit", str(limit)) if limit else ()
        if self._start(pool, *_prefect("worker", "start", "--pool", pool, "--type", "process", "--name", pool, *limited)):
            report(f"started a worker for the pool {pool}")
            self._wait(pool, lambda: self._is_online(pool, since))

    def _is_online(self, pool: str, since: float) -> bool:
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.api}):
            return setup.is_online(pool, since)

    def _start(self, service: str, *command: str) -> bool:
        """Start a service unless it is running, in a new session, so that it outlives the terminal; return whether it was started."""
        if running(self.state, service):
            return False
        if service == SERVER and _is_used(self.port):
            raise InputError(f"port {self.port} is used by another program", "choose a free one: mlctl up --port=…")
        with (self.logs / f"{service}.log").open("a") as log:
            process = subprocess.Popen(
                command,
                cwd=self.project,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.state / f"{service}.json").write_text(json.dumps({"pid": process.pid}))
        return True

    def _wait(self, service: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + _START_TIMEOUT
        while not ready():
            time.sleep(0.3)  # before it is looked at: a process that is just being started has no environment yet
            log = self.logs / f"{service}.log"
            if not running(self.state, service):
                raise InputError(f"the {service} has ended:\n{_tail(log)}", f"see {log}")
            if time.monotonic() > end:
                raise InputError(f"the {service} is not ready after {_START_TIMEOUT:.0f} s:\n{_tail(log)}", f"see {log}")

    def _is_healthy(self) -> bool:
        import httpx

        try:
            return httpx.get(f"{self.api}/health", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def _environment(self) -> dict[str, str]:
        import tasks  # noqa: F401 - sets Prefect's defaults in the environment

        own = {
            "PREFECT_HOME": str(self.state / "prefect"),
            "PREFECT_API_URL": self.api,
            _MARK: str(self.state),
            **self.report_links,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT__")}
        return {**inherited, **{name: os.environ.get(name, value) for name, value in _SETTINGS.items()}, **own}


def default_state() -> Path:
    """Return the state folder of the current folder's project."""
    return Path.cwd() / STATE


def link_reports() -> None:
    """Have the runs of this process link their reports to the report server, if they use the server of the current folder's project."""
    from prefect.settings import PREFECT_API_URL

    state = default_state()
    if running(state, SERVER) and running(state, REPORTS):
        services = LocalServices.of(state)
        if (PREFECT_API_URL.value() or "").rstrip("/") == services.api:
            os.environ.update(services.report_links)


def _read_ports(state: Path) -> dict[str, int]:
    """Return the ports of the last `mlctl up` of a state folder, by service; empty: there was none."""
    try:
        return {service: int(port) for service, port in json.loads((state / _PORTS).read_text()).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def running(state: Path, service: str) -> bool:
    """Return whether a service (`server`, `reports` or the worker of a pool) is running."""
    with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
        process = psutil.Process(json.loads((state / f"{service}.json").read_text())["pid"])
        return _is_marked(process, state) and process.status() != psutil.STATUS_ZOMBIE
    return False


def down(state: Path) -> int:
    """Stop all processes that were started from a state folder, and their children.

    Current runs are terminated first: they report to the server that they crashed, and resume when they are started again.

    Returns:
        number of processes that were running.
    """
    with locked(state / "lock") if state.is_dir() else contextlib.nullcontext():
        processes = list(_marked(state))
        _stop([process for process in processes if _is_run(process)])
        _stop([process for service in POOLS for process in processes if process.pid == _pid(state, service)])
        _stop([process for service in (SERVER, REPORTS) for process in processes if process.pid == _pid(state, service)])
        for process in _marked(state):
            with contextlib.suppress(psutil.Error):
                process.kill()
        for service in (SERVER, REPORTS, *POOLS):
            (state / f"{service}.json").unlink(missing_ok=True)
    return len(processes)


def _stop(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=_STOP_TIMEOUT)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=_STOP_TIMEOUT)


def _marked(state: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _is_marked(process, state):
            yield process


def _is_marked(process: psutil.Process, state: Path) -> bool:
    return _environment_of(process).get(_MARK) == str(state)


def _is_run(process: psutil.Process) -> bool:
    """Return whether a process is that of a flow run, and not a child of one."""
    parent = None
    with contextlib.suppress(psutil.Error):
        parent = process.parent()
    return _RUN in _environment_of(process) and not (parent and _RUN in _environment_of(parent))


def _environment_of(process: psutil.Process) -> dict[str, str]:
    """Return the environment of a process; empty where it cannot be read: the process has ended, or belongs to another user."""
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _pid(state: Path, service: str) -> int | None:
    try:
        return int(json.loads((state / f"{service}.json").read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return None


def _is_free(port: int) -> bool:
    """Return whether a server can listen on a port: it may also be the local end of a connection that nobody listens on."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _is_used(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _prefect(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "prefect", "--no-prompt", *arguments]


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
