"""Where a stage meets Prefect: options of every stage task, its states and its progress."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, cast

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.states import Completed, Failed
from prefect.utilities.engine import link_state_to_task_run_result

from mlctl.config import Recipe
from mlctl.errors import InputError
from storage import Result, StoreError
from tasks import logs
from tasks.progress import shown
from tasks.stage import Ref, Stage, make, result_of

P = ParamSpec("P")

logs.attach()

# Prefect says a returned failure twice, once with an empty traceback.
logging.getLogger("prefect.task_runs").addFilter(lambda record: not record.getMessage().startswith("Task run failed with state"))


class StageTask(Task[P, Ref]):
    """A Prefect task of a stage. Its body returns a state; who calls it gets the reference, or the error, in that state."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task; with `return_state=True` hand out the state itself."""
        wants_state = kwargs.pop("return_state", False)
        state: State[Ref] = super().__call__(*args, return_state=True, **kwargs)
        if wants_state:
            return state
        ref = state.result()
        link_state_to_task_run_result(state, ref)
        return ref


def _fresh(ref: Ref) -> Ref:
    """Return a copy that shares no string with another: by their identity Prefect knows which task reads what, and draws it."""
    return cast("Ref", json.loads(json.dumps(ref)))


def stage_task(function: Callable[P, Ref]) -> StageTask[P]:
    """Make a stage's function a task of its name. The store is the only truth: Prefect neither caches nor keeps results."""
    return StageTask(
        function, name=function.__name__, task_run_name=function.__name__, cache_policy=NO_CACHE, persist_result=False
    )


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
    ref = _fresh(ref)
    if publish and TaskRunContext.get():
        publish(result_of(ref))
    if cached:
        return _as_value(Completed(name="Cached", message=f"{ref['key'][:8]} was in the store", data=ref))
    return _as_value(Completed(message=f"made {ref['key'][:8]}", data=ref))


def _as_value(state: State[Ref]) -> Ref:
    """Type a state as what the caller of a `StageTask` gets."""
    return cast("Ref", state)
