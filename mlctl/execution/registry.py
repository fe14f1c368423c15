"""The execution backends by the recipe's `executor`. Ray is imported when it is used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mlctl.config import Recipe
from mlctl.core.workspace import Workspace
from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.local_backend import LOCAL
from storage import Store


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

    url = recipe.store if Store(recipe.store).is_remote else ""
    with RayBackend(recipe.ray_address, workspace, url) as cluster:
        yield cluster


def check_backend(recipe: Recipe) -> None:
    """Check that the recipe's Ray cluster can be reached, before a stage runs for hours.

    Raises:
        InputError: Ray is not installed, or no cluster answers.
    """
    if recipe.executor == "ray":
        from mlctl.execution.ray_cluster import check_cluster

        check_cluster(recipe.ray_address)
