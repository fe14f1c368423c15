"""The protocols of an execution backend and of its workers.

A worker runs jobs (JSON that names files). Which backend and how many workers run them changes no byte of a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol


class WorkerLostError(Exception):
    """A worker's machine was lost while it ran a job. The job can be run again, by another worker or by this one after `start`."""


class Worker(Protocol):
    """Runs the jobs of one module, one after another."""

    def start(self) -> None:
        """Wait until the worker can run jobs, e.g. until a cluster has room for it; does nothing if it can.

        Raises:
            InputError: its machine cannot take part.
        """

    def run(self, job: Any, description: str, remedy: str, timeout: float | None = None, reads: Sequence[Path] = ()) -> None:
        """Run a job and return when it is done; see `mlctl.execution.processes.ChildProcess.run_and_list`.

        `reads` are the files and folders that the job reads: a worker on a machine that shares no folder with this one gets copies.

        Raises:
            WorkerLostError: the worker was lost with its machine.
        """

    def kill(self) -> None:
        """Stop the worker at once; a running job raises a ProcessDiedError."""

    def close(self) -> None:
        """Stop the worker, which runs no job."""


class ExecutionBackend(Protocol):
    """Starts workers, on one machine or several."""

    @property
    def cores(self) -> int:
        """CPU cores of all machines."""

    @property
    def min_node_cores(self) -> int:
        """CPU cores of the smallest machine."""

    @property
    def gpus(self) -> int | None:
        """GPUs of all machines; None: those of this machine, as torch reports them."""

    def start_worker(self, module: str, gpus: float = 0, cores: int = 1) -> Worker:
        """Return a new worker that runs a module such as `mlctl.cleaning.worker`.

        Args:
            module: the module.
            gpus: GPUs that are reserved for it; 0.5: half of one.
            cores: CPU cores that are reserved for it.
        """
