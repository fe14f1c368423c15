"""Runs torchrun's agent, which starts the training processes of this machine and starts them again when one is lost.

It is `python -m torch.distributed.run` with three additions: it ends with the process that started it, it leaves no server on the network
where one machine trains alone, and it writes how the processes ended to a file of the launcher's folder.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from mlctl.execution.processes import die_with_parent
from mlctl.training.launch_folder import LaunchFolder
from mlctl.training.process_failures import LAUNCH_FOLDER

_JOIN_SECONDS = 7 * 24 * 3600  # the launcher gives up earlier where a machine was lost
_FAILURES = "failures.json"


class Failure(NamedTuple):
    """The end of a process: its local rank, and its exit status, negative for a signal."""

    local_rank: int
    status: int


def read_failures(folder: LaunchFolder) -> list[Failure]:
    """Return how the processes ended that made the agent give up, in the order of their end."""
    path = folder.path / _FAILURES
    return [Failure(*item) for item in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def read_errors(folder: LaunchFolder, local_rank: int) -> str:
    """Return what a process wrote to standard error when it was last started."""
    paths = folder.path.glob(f"logs/*/attempt_*/{local_rank}/stderr.log")
    path = max(paths, key=lambda path: int(path.parts[-3].removeprefix("attempt_")), default=None)
    return path.read_text(encoding="utf-8", errors="replace").strip() if path else ""


def main() -> None:
    """Run the agent: arguments are the parent's process id, and the numbers and the address of `_config`."""
    parent, processes, restarts, nodes, address = sys.argv[1:]
    die_with_parent(int(parent))
    folder = LaunchFolder(Path(os.environ[LAUNCH_FOLDER]))
    folder.set_agent()
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # a new store for each start: the keys of the last one do not fit
    config = _config(folder.path, int(processes), int(restarts), int(nodes), address)
    try:
        elastic_launch(config, sys.executable)("-u", "-m", "mlctl.training.worker")
    except ChildFailedError as error:
        failures = sorted(error.failures.values(), key=lambda failure: failure.timestamp)
        content = [Failure(failure.local_rank, failure.exitcode) for failure in failures]
        (folder.path / _FAILURES).write_text(json.dumps(content), encoding="utf-8")
        sys.exit(1)


def _config(folder: Path, processes: int, restarts: int, nodes: int, address: str) -> LaunchConfig:
    """Return the agent's settings: number of processes, how often they are started again, number of machines and where they meet."""
    options: dict[str, Any] = {"store_type": "file"}
    if nodes > 1:
        options = {"is_host": True, "join_timeout": _JOIN_SECONDS}
    return LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=processes,
        run_id="mlctl",
        role="default",
        rdzv_backend="c10d",
        rdzv_endpoint=address if nodes > 1 else str(folder / "rendezvous"),
        rdzv_configs=options,
        max_restarts=restarts,
        monitor_interval=0.1,
        local_addr=address.rpartition(":")[0].strip("[]") if nodes > 1 else "localhost",
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "logs"), redirects=Std.ALL),
    )


if __name__ == "__main__":
    main()
