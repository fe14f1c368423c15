"""Stages as Prefect tasks: their options, states and progress."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, cast

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import TagsContext, TaskRunContext
from prefect.states import Completed, Failed
from prefect.utilities.engine import link_state_to_task_run_result

from mlctl.config import Recipe
from mlctl.errors import InputError
from mlctl.pipeline.stage import Ref, Stage, make, result_of
from storage import Result, StoreError
from tasks import run_logging
from tasks.progress import show_progress

P = ParamSpec("P")

run_logging.attach()
logger = logging.getLogger("mlctl.stages")


class StageTask(Task[P, Ref]):
    """A Prefect task of a stage. Its body returns a state; the caller gets the reference in that state, or its error is raised."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task; with `return_state=True` return the state itself."""
        return_state = kwargs.pop("return_state", False)
        with TagsContext(current_tags=set()):  # at the start of a task with tags, Prefect asks the server for their limits
            state: State[Ref] = super().__call__(*args, return_state=True, **kwargs)
        if return_state:
            return state
        ref = state.result()
        link_state_to_task_run_result(state, ref)
        return ref


def _copy(ref: Ref) -> Ref:
    """Return a copy that shares no string with another reference: Prefect draws dependencies between tasks by object identity."""
    return cast("Ref", json.loads(json.dumps(ref)))


def stage_task(function: Callable[P, Ref]) -> StageTask[P]:
    """Make a function a Prefect task of its name. The store is the only truth: Prefect neither caches nor persists results."""
    return StageTask(
        function, name=function.__name__, task_run_name=function.__name__, cache_policy=NO_CACHE, persist_result=False
    )


def run_stage(stage: Stage, recipe: Recipe, *refs: Ref, publish: Callable[[Result], None] | None = None) -> Ref:
    """Compute a stage's result, or find it in the store, and return the state: Completed or Cached.

    An error that the user can fix becomes a Failed state with its message and no traceback. `publish` creates the artifacts of the
    finished result.
    """
    try:
        with show_progress(stage.name) as progress:
            ref, cached = make(stage, recipe, refs, progress)
    except (InputError, StoreError) as error:
        return _as_value(Failed(message=str(error), data=error))
    ref = _copy(ref)
    if publish and TaskRunContext.get():
        _publish(publish, ref)
    if cached:
        return _as_value(Completed(name="Cached", message=f"{ref['key'][:8]} found in the store", data=ref))
    return _as_value(Completed(message=f"made {ref['key'][:8]}", data=ref))


def _publish(publish: Callable[[Result], None], ref: Ref) -> None:
    """Create the artifacts of a result. It is complete: nothing that goes wrong here fails the stage."""
    try:
        publish(result_of(ref))
    except Exception as error:
        logger.warning("%s: its artifacts were not made: %s: %s", ref["stage"], type(error).__name__, error)


def _as_value(state: State[Ref]) -> Ref:
    """Type a state as the value that the caller of a `StageTask` gets."""
    return cast("Ref", state)
