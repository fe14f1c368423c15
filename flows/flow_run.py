"""What all flows share: run names, an entry in the store's run log, errors as messages."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Flow
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed

from flows.recipe_parameter import name_of
from flows.run_summary import collect_warnings, show_summary
from mlctl.config import Recipe, resolve
from mlctl.core.interruption import take_signals
from mlctl.core.long_values import cut_long_values
from mlctl.core.url_redaction import redact_values
from mlctl.errors import InputError
from mlctl.pipeline import run_log
from mlctl.pipeline.plan import plan
from mlctl.pipeline.run import recorded_run
from mlctl.pipeline.stage import Ref, lineage
from mlctl.pipeline.store_session import use_store
from mlctl.stage_names import StageName
from storage import StoreError
from tasks.server_calls import calls

#: Results of the flows that this process finished, also if their server was away and does not know of it.
finished: list[Ref] = []

P = ParamSpec("P")
R = TypeVar("R")


class RecipeFlow(Flow[P, R]):
    """A flow that has a recipe as its parameter. Prefect's server gets it without what grants access: its pages are read by many."""

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters as JSON values for the server."""
        return dict(redact_values(super().serialize_parameters(parameters)))


def recipe_flow(
    name: str, run_name: Callable[[], str] | None = None, **options: Any
) -> Callable[[Callable[P, R]], RecipeFlow[P, R]]:
    """Return a decorator that makes a flow of a function; its runs are named by `run_name`, else by the recipe."""
    return lambda function: RecipeFlow(
        function,
        name=name,
        flow_run_name=run_name or _recipe_and_time,
        persist_result=False,
        validate_parameters=False,
        **options,
    )


def run_flow(name: str, recipe: object, overrides: Sequence[str], stages: Iterable[str], work: Callable[[Recipe], Ref]) -> Ref:
    """Do the work of a flow after the preflight checks of its `stages`. An error that the user can fix fails the run with a message.

    The run is recorded in the store's run log, unless another run triggered it: then that run's entry includes it.

    Args:
        name: of the flow.
        recipe: the flow's parameter.
        overrides: the flow's parameter.
        stages: that the flow runs.
        work: computes the last result.
    """
    take_signals()
    try:
        loaded = resolve(recipe, overrides)
        with use_store(loaded), run_log.recording_overrides(overrides), collect_warnings() as warnings:
            with recorded_run(name, loaded, stages, is_part=_is_triggered()) as run:
                ref = work(loaded)
            show_summary(loaded, ref, run, warnings)
            finished.append(ref)
            return ref
    except (InputError, StoreError) as error:
        return cast("Ref", Failed(message=str(error), data=error))
    finally:
        calls.end_run()


def run_comparison(
    name: str, recipe: object, overrides: Sequence[str], prepare: Callable[[Recipe], Callable[[], tuple[Ref, str]]]
) -> Ref:
    """Do the work of a flow that runs and compares variants of a recipe, as one entry of the run log. An error that the user can fix fails the
    run with a message.

    Args:
        name: of the flow.
        recipe: the flow's parameter.
        overrides: the flow's parameter.
        prepare: checks the flow's other parameters, before anything is recorded, and returns the work: it returns the result and a summary.
    """
    take_signals()
    try:
        loaded = resolve(recipe, overrides)
        work = prepare(loaded)
        with use_store(loaded), run_log.recording_overrides(overrides), run_log.record_run(name, loaded):
            ref, message = work()
        return cast("Ref", Completed(message=message, data=ref))
    except (InputError, StoreError) as error:
        return cast("Ref", Failed(message=str(error), data=error))
    finally:
        calls.end_run()


def existing_result(recipe: Recipe, stage: StageName, key: str) -> Ref:
    """Return the result that a flow starts from: the one of `key`, or with "" the one that the recipe leads to.

    Raises:
        InputError: it is not in the store.
    """
    ref = Ref(stage=stage, key=key or _planned_key(recipe, stage), store=recipe.store)
    for name, result in lineage(ref).items():
        with run_log.record_stage(name, result.manifest.key) as record:
            record.state = "cached"
    return ref


def _planned_key(recipe: Recipe, stage: StageName) -> str:
    plans = plan(recipe, stage, fetch=True)
    if problem := next((planned.problem for planned in plans if planned.problem), None):
        raise problem
    if plans[-1].result is None:
        missing = next(planned.stage for planned in plans if planned.result is None)
        raise InputError(f"{recipe.store} has no {missing} result of this recipe", f"run `mlctl {stage}` with this recipe first")
    return plans[-1].key


def _recipe_and_time() -> str:
    """Return the name of the current flow run: recipe and time; a run that another one triggered keeps its name."""
    context = cast("FlowRunContext", FlowRunContext.get())
    parameters: dict[str, Any] = context.parameters or {}
    if context.flow_run and _is_triggered():
        return context.flow_run.name
    until, name = parameters.get("until", "report"), name_of(parameters.get("recipe"), parameters.get("overrides", ()))
    return f"{cut_long_values(name)}{'' if until == 'report' else f' until {until}'}, {datetime.now():%d %b %H:%M}"


def _is_triggered() -> bool:
    """Return whether the current flow run is a separate process that another run waits for."""
    run = cast("FlowRunContext", FlowRunContext.get()).flow_run
    return bool(run and run.parent_task_run_id and os.environ.get("PREFECT__FLOW_RUN_ID") == str(run.id))
