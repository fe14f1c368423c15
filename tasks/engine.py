"""Where a stage meets Prefect: options of every stage task, its states and its progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.states import Completed, Failed

from mlctl.config import Recipe
from mlctl.errors import InputError
from storage import Result, StoreError
from tasks.progress import shown
from tasks.stage import Ref, Stage, make, result_of

# The store is the only truth: Prefect neither caches nor keeps results.
OPTIONS: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


def run_stage(stage: Stage, recipe: Recipe, *refs: Ref, publish: Callable[[Result], None] | None = None) -> Ref:
    """Make a stage's result, or find it, and say which by the state's name: Completed or Cached.

    What the user can mend becomes a Failed state that carries the message, without a traceback. `publish` shows the
    finished result on the run's page.
    """
    try:
        with shown(stage.name) as progress:
            ref, cached = make(stage, recipe, refs, progress)
    except (InputError, StoreError) as error:
        return _as_value(Failed(message=str(error), data=error))
    if publish and TaskRunContext.get():
        publish(result_of(ref))
    if cached:
        return _as_value(Completed(name="Cached", message=f"{ref['key'][:8]} was in the store", data=ref))
    return _as_value(Completed(message=f"made {ref['key'][:8]}", data=ref))


def _as_value(state: State[Ref]) -> Ref:
    """Type a state as what the caller gets: Prefect takes a returned state as the task's own and hands out its data."""
    return cast("Ref", state)
