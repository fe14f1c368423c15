"""Who does the parts of a stage: processes of this machine, or workers on the machines of a Ray cluster.

A stage says what is to be done in which order; its parts are jobs (JSON) that name files. Who does them changes no byte.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Protocol

from mlctl.config import Recipe
from mlctl.core.workspace import Workspace
from mlctl.execution.processes import ChildProcess


class Worker(Protocol):
    """Does the jobs of one module, one after another."""

    def do(self, job: Any, what: str, remedy: str, seconds: float | None = None) -> None:
        """Have a job done; see `mlctl.execution.processes.Child.do`."""

    def kill(self) -> None:
        """End the worker at once; whoever waits for a job of it gets an EndedError."""

    def close(self) -> None:
        """End the worker, which has no job."""


class ExecutionBackend(Protocol):
    """Where workers come from."""

    @property
    def cores(self) -> int:
        """CPU cores of all machines."""

    @property
    def min_node_cores(self) -> int:
        """CPU cores of the smallest machine."""

    @property
    def gpus(self) -> int | None:
        """GPUs of all machines; None: those of this one, which torch knows."""

    def worker(self, module: str, gpus: float = 0) -> Worker:
        """Return a new worker that runs a module such as `mlctl.cleaning.worker` and has a share of a GPU to itself."""


class LocalBackend:
    """Processes of this machine."""

    gpus = None

    @property
    def cores(self) -> int:
        """CPU cores of this machine."""
        return os.cpu_count() or 1

    min_node_cores = cores

    def worker(self, module: str, gpus: float = 0) -> Worker:
        """Return a new child process that runs a module."""
        del gpus  # processes find them by themselves
        return ChildProcess(module)


LOCAL: ExecutionBackend = LocalBackend()


@contextlib.contextmanager
def open_backend(recipe: Recipe, workspace: Workspace) -> Iterator[ExecutionBackend]:
    """Yield who does the parts of a stage that is made in `workspace`.

    Raises:
        InputError: the recipe's Ray cluster cannot be used; the message says why.
    """
    if recipe.executor == "processes":
        yield LOCAL
        return
    from mlctl.execution.ray_backend import RayBackend

    with RayBackend(recipe.ray_address, workspace) as cluster:
        yield cluster


def check(recipe: Recipe) -> None:
    """Look whether the recipe's Ray cluster is there, before hours of work.

    Raises:
        InputError: Ray is not installed, or no cluster answers.
    """
    if recipe.executor == "ray":
        from mlctl.execution.ray_backend import found

        found(recipe.ray_address)
