"""What all flows have in common: names that people can read, a place in the store's diary, errors that are messages."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, cast

from prefect.context import FlowRunContext
from prefect.states import Failed

from flows.checks import check
from mlctl.config import Recipe
from mlctl.errors import InputError
from storage import StoreError
from tasks import diary
from tasks.plan import plan
from tasks.stage import Ref, lineage


def carry_out(name: str, recipe: Recipe, stages: Iterable[str], work: Callable[[], Ref]) -> Ref:
    """Do the work of a flow: what `stages` need is looked at first. What the user can mend fails the run with a message, no traceback.

    The run stands in the store's diary, unless another run triggered it: then that one's entry tells of it.
    """
    entry = contextlib.nullcontext() if _is_triggered() else diary.run(name, recipe)
    try:
        with entry:
            check(recipe, stages)
            return work()
    except (InputError, StoreError) as error:
        return cast("Ref", Failed(message=str(error), data=error))


def given(recipe: Recipe, stage: str, key: str) -> Ref:
    """Return the result that a flow begins with: the one with `key`, or with "" the one that the recipe leads to.

    Raises:
        InputError: it is not in the store.
    """
    ref = Ref(stage=stage, key=key or _led_to(recipe, stage), store=recipe.store)
    for name, result in lineage(ref).items():
        with diary.stage(name, result.manifest.key) as record:
            record.state = "cached"
    return ref


def _led_to(recipe: Recipe, stage: str) -> str:
    plans = plan(recipe, stage)
    if plans[-1].result is None:
        missing = next(planned.stage for planned in plans if planned.result is None)
        raise InputError(
            f"{recipe.store} has no {missing} result of this recipe", f"make it first: `mlctl {stage}` with this recipe"
        )
    return plans[-1].key


def run_name() -> str:
    """Return the name of the flow run at hand: recipe and time; a run that another triggered keeps the name it was given."""
    context = cast("FlowRunContext", FlowRunContext.get())
    parameters: dict[str, Any] = context.parameters or {}
    if context.flow_run and _is_triggered():
        return context.flow_run.name
    until = parameters.get("until", "report")
    return f"{parameters['recipe'].name}{'' if until == 'report' else f' until {until}'}, {datetime.now():%d %b %H:%M}"


def _is_triggered() -> bool:
    """Tell whether the flow run at hand has a process of its own and another run waits for it."""
    run = cast("FlowRunContext", FlowRunContext.get()).flow_run
    return bool(run and run.parent_task_run_id and os.environ.get("PREFECT__FLOW_RUN_ID") == str(run.id))
