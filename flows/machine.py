"""Everything that one machine needs as processes of their own: a Prefect server, a worker for each pool, the deployments."""

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
from mlctl import config
from mlctl.core.locks import held
from mlctl.errors import InputError

#: Where prefect.yaml is, and what the workers run.
PROJECT = Path(flows.__file__).parents[1]

SERVER = "server"
#: Work pools with the number of runs that they have at a time.
POOLS: dict[str, int | None] = {"cpu": None, "gpu": 1}

_MARK = "MLCTL_UP"  # in the environment of all that is started here, and of all that those start: its value is the state folder
_RUN = "PREFECT__FLOW_RUN_ID"  # Prefect's, in the environment of a flow run's process
_PATIENCE = 180.0  # seconds in which a part has to be there, on a machine under load
_GRACE = 30.0  # seconds in which a process may end by itself

# What Prefect's processes read. A run goes on without its server for a quarter of an hour; runs begin soon after they are asked for.
_SETTINGS = {
    "PREFECT_CLIENT_MAX_RETRIES": "9",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_WORKER_QUERY_SECONDS": "3",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class Machine:
    """The processes of one state folder; `port` is where the server listens, on this machine only."""

    state: Path
    port: int

    @property
    def page(self) -> str:
        """Return the address to open in a browser."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        """Return the address that Prefect's clients use."""
        return f"{self.page}/api"

    @property
    def logs(self) -> Path:
        """Return the folder of log files."""
        return self.state / "logs"

    def up(self, say: Callable[[str], None]) -> None:
        """Start what is not there yet and wait until all is; call `say` with what was started.

        Raises:
            InputError: a part did not come up; the port is taken.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        with held(self.state / "lock"):
            if self._start(SERVER, "server", "start", "--host", "127.0.0.1", "--port", str(self.port)):
                say(f"started the Prefect server on port {self.port}")
            self._wait(SERVER, self._answers)
            self._fill(say)
            for pool, limit in POOLS.items():
                self._work(pool, limit, say)

    def _fill(self, say: Callable[[str], None]) -> None:
        """Make the pools, the automations and the deployments."""
        from prefect.settings import PREFECT_API_URL, temporary_settings

        from flows import filling

        with temporary_settings({PREFECT_API_URL: self.api}):
            filling.make_pools(POOLS)
            if filling.deployed() != _digest():
                self._deploy()
                filling.note_deployed(_digest())
                say("deployed " + ", ".join(filling.deployments()))

    def _deploy(self) -> None:
        log = self.logs / "deploy.log"
        with log.open("w") as out:
            done = subprocess.run(
                _prefect("deploy", "--all"), cwd=PROJECT, env=self._environment(), stdout=out, stderr=out, check=False
            )
        if done.returncode:
            raise InputError(f"`prefect deploy --all` failed:\n{_tail(log)}", f"all of it is in {log}")

    def _work(self, pool: str, limit: int | None, say: Callable[[str], None]) -> None:
        since = time.time()
        limited = ("--limit", str(limit)) if limit else ()
        if self._start(pool, "worker", "start", "--pool", pool, "--type", "process", "--name", pool, *limited):
            say(f"started a worker for the pool {pool}")
            self._wait(pool, lambda: self._hears(pool, since))

    def _hears(self, pool: str, since: float) -> bool:
        from prefect.settings import PREFECT_API_URL, temporary_settings

        from flows import filling

        with temporary_settings({PREFECT_API_URL: self.api}):
            return filling.is_online(pool, since)

    def _start(self, part: str, *command: str) -> bool:
        """Start a part, unless it is there: in a session of its own, so that it outlives the terminal."""
        if running(self.state, part):
            return False
        if part == SERVER and _is_taken(self.port):
            raise InputError(f"port {self.port} is taken by another program", "name a free one: mlctl up --port=…")
        with (self.logs / f"{part}.log").open("a") as log:
            process = subprocess.Popen(
                _prefect(*command),
                cwd=PROJECT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.state / f"{part}.json").write_text(json.dumps({"pid": process.pid, "port": self.port}))
        return True

    def _wait(self, part: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE
        while not ready():
            log = self.logs / f"{part}.log"
            if not running(self.state, part):
                raise InputError(f"the {part} ended by itself:\n{_tail(log)}", f"all of it is in {log}")
            if time.monotonic() > end:
                raise InputError(f"the {part} is not ready after {_PATIENCE:.0f} s:\n{_tail(log)}", f"all of it is in {log}")
            time.sleep(0.3)

    def _answers(self) -> bool:
        import httpx

        try:
            return httpx.get(f"{self.api}/health", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def _environment(self) -> dict[str, str]:
        import tasks  # noqa: F401 - sets what keeps Prefect quiet

        own = {"PREFECT_HOME": str(self.state / "prefect"), "PREFECT_API_URL": self.api, _MARK: str(self.state)}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT__")}
        return {**inherited, **{name: os.environ.get(name, value) for name, value in _SETTINGS.items()}, **own}


def port_of(state: Path) -> int | None:
    """Return the port of the server that runs from a state folder; None where none does."""
    return json.loads((state / f"{SERVER}.json").read_text())["port"] if running(state, SERVER) else None


def running(state: Path, part: str) -> bool:
    """Tell whether a part (`server` or a pool's worker) is there."""
    with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
        process = psutil.Process(json.loads((state / f"{part}.json").read_text())["pid"])
        return _is_marked(process, state) and process.status() != psutil.STATUS_ZOMBIE
    return False


def down(state: Path) -> int:
    """End all processes that were started from a state folder, and what those started, whichever of them are left.

    Runs under way are asked first: they tell the server that they crashed, and go on from there another time.

    Returns:
        how many processes there were.
    """
    with held(state / "lock") if state.is_dir() else contextlib.nullcontext():
        found = list(_marked(state))
        _end([process for process in found if _is_run(process)])
        _end([process for part in POOLS for process in found if process.pid == _pid(state, part)])
        _end([process for process in found if process.pid == _pid(state, SERVER)])
        for process in _marked(state):
            with contextlib.suppress(psutil.Error):
                process.kill()
        for part in (SERVER, *POOLS):
            (state / f"{part}.json").unlink(missing_ok=True)
    return len(found)


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, left = psutil.wait_procs(processes, timeout=_GRACE)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=_GRACE)


def _marked(state: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _is_marked(process, state):
            yield process


def _is_marked(process: psutil.Process, state: Path) -> bool:
    return _environment_of(process).get(_MARK) == str(state)


def _is_run(process: psutil.Process) -> bool:
    """Tell whether a process is that of a flow run, and not one that such a process started."""
    parent = None
    with contextlib.suppress(psutil.Error):
        parent = process.parent()
    return _RUN in _environment_of(process) and not (parent and _RUN in _environment_of(parent))


def _environment_of(process: psutil.Process) -> dict[str, str]:
    """Return the environment of a process; nothing where it cannot be read: it has ended, or is another user's."""
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _pid(state: Path, part: str) -> int | None:
    try:
        return int(json.loads((state / f"{part}.json").read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return None


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _prefect(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "prefect", "--no-prompt", *arguments]


def _digest() -> str:
    """Return a digest of all that a deployment is made of."""
    digest = hashlib.sha256(json.dumps(config.Recipe.model_json_schema(), sort_keys=True).encode())
    for file in (PROJECT / "prefect.yaml", *sorted((PROJECT / "flows").glob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
