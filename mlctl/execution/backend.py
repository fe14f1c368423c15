"""The protocols of an execution backend and of its workers.

A worker runs jobs (JSON that names files). Which backend and how many workers run them changes no byte of a result.
"""

from __future__ import annotations

from typing import Any, Protocol


class Worker(Protocol):
    """Runs the jobs of one module, one after another."""

    def run(self, job: Any, description: str, remedy: str, timeout: float | None = None) -> None:
        """Run a job and return when it is done; see `mlctl.execution.processes.ChildProcess.run`."""

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
