"""Execution backends: local processes or Ray workers.

A worker runs jobs (JSON that names files). Which backend and how many workers run them changes no byte of a result.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

from mlctl.config import Recipe
from mlctl.core.cpu import usable_cores
from mlctl.core.workspace import Workspace
from mlctl.execution.processes import ChildProcess


class Worker(Protocol):
    """Runs the jobs of one module, one after another."""

    def run(self, job: Any, description: str, remedy: str, timeout: float | None = None) -> None:
        """Run a job and return when it is done; see `mlctl.execution.processes.ChildProcess.run`."""

    def kill(self) -> None:
        """Stop the worker at once; a running job raises an EndedError."""

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

    def start_worker(self, module: str, gpus: float = 0) -> Worker:
        """Return a new worker that runs a module such as `mlctl.cleaning.worker`, with `gpus` GPUs (0.5: half of one) reserved for it."""


class LocalBackend:
    """Child processes on this machine."""

    gpus = None

    @property
    def cores(self) -> int:
        """CPU cores that this process may use."""
        return usable_cores()

    min_node_cores = cores

    def start_worker(self, module: str, gpus: float = 0) -> Worker:
        """Return a new child process that runs a module."""
        del gpus  # a process sees all GPUs of this machine
        return ChildProcess(module)


LOCAL: ExecutionBackend = LocalBackend()


@contextlib.contextmanager
def open_backend(recipe: Recipe, workspace: Workspace) -> Iterator[ExecutionBackend]:
    """Yield the recipe's execution backend, for a stage that works in `workspace`.

    Raises:
        InputError: the recipe's Ray cluster cannot be used; the message says why.
    """
    if recipe.executor == "processes":
        yield LOCAL
        return
    from mlctl.execution.ray_backend import RayBackend

    with RayBackend(recipe.ray_address, workspace) as cluster:
        yield cluster


def check_backend(recipe: Recipe) -> None:
    """Check that the recipe's Ray cluster can be reached, before a stage runs for hours.

    Raises:
        InputError: Ray is not installed, or no cluster answers.
    """
    if recipe.executor == "ray":
        from mlctl.execution.ray_backend import check_cluster

        check_cluster(recipe.ray_address)
