"""The local backend: workers are child processes on this machine."""

from __future__ import annotations

from mlctl.core.cpu import usable_cores
from mlctl.execution.backend import ExecutionBackend, Worker
from mlctl.execution.processes import ChildProcess


class LocalBackend:
    """Child processes on this machine."""

    gpus = None

    @property
    def cores(self) -> int:
        """CPU cores that this process may use."""
        return usable_cores()

    min_node_cores = cores

    def start_worker(self, module: str, gpus: float = 0, cores: int = 1) -> Worker:
        """Return a new child process that runs a module."""
        del gpus, cores  # a process sees all GPUs and cores of this machine
        return ChildProcess(module)


LOCAL: ExecutionBackend = LocalBackend()
