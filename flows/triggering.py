"""Stages made by deployments of their own: started once for each key however many runs want it, waited for, started again after a crash."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.settings import get_current_settings
from prefect.states import Cancelling

from mlctl.config import Recipe
from mlctl.errors import InputError
from storage import Store
from tasks import diary
from tasks.engine import StageTask
from tasks.plan import STAGES
from tasks.stage import Ref, lookup, result_of

logger = logging.getLogger("mlctl.stages")

Where = Literal["here", "deployments"]

ATTEMPTS = 3
_POLL_SECONDS = 2.0

# What a deployment is told besides the recipe: the key of the result that it begins with, and how far to go.
_PARAMETERS: dict[str, Callable[[tuple[Ref, ...]], dict[str, str]]] = {
    "train": lambda refs: {"sharded": refs[-1]["key"]},
    "evaluate": lambda refs: {"trained": refs[-1]["key"], "until": "evaluate"},
}


def at(where: Where, task: StageTask[Any]) -> Callable[..., Ref]:
    """Return what makes a stage's result: the task itself, or a run of the deployment that bears its name."""
    return task if where == "here" else functools.partial(_triggered, task)


def cancel_children(flow: Any, flow_run: FlowRun, state: State) -> None:
    """Cancel, with a run, what it triggered: a hook of Prefect, which calls it with these names."""
    del flow, state
    wanted = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run.id]))
    with get_client(sync_client=True) as client:
        for child in client.read_flow_runs(flow_run_filter=wanted):
            if child.state and not child.state.is_final():
                client.set_flow_run_state(child.id, Cancelling(message=f"{flow_run.name} was cancelled"))


def _triggered(task: StageTask[Any], recipe: Recipe, *refs: Ref) -> Ref:
    """Return the stage's result; where the store has it nothing is triggered and the task here says so."""
    stage = STAGES[task.name]
    key, found = lookup(stage, recipe, refs)
    if found:
        return cast("Ref", task(recipe, *refs))
    made = Ref(stage=stage.name, key=key, store=recipe.store)
    with diary.stage(stage.name, key) as record:
        _Job(stage.name, key, recipe, _PARAMETERS[stage.name](refs)).done()
        record.state = "computed"
    result_of(made)
    return made


@dataclass(frozen=True)
class _Job:
    """A result that a deployment is to make."""

    stage: str
    key: str
    recipe: Recipe
    parameters: dict[str, str]

    def done(self) -> None:
        """Wait until a run has made it.

        Raises:
            InputError: the run failed, was cancelled, or crashed several times.
        """
        for _ in range(ATTEMPTS):
            run = self._ended()
            state = cast("State", run.state)
            if state.is_completed():
                return
            if not state.is_crashed():
                break
            logger.warning("%s: the run %r crashed (%s)", self.stage, run.name, state.message)
        often = f" {ATTEMPTS} times, the last time" if state.is_crashed() else ""
        raise InputError(
            f"{self.stage}: its run {run.name!r} ended{often} as {state.name}: {state.message or 'nothing was said'}",
            f"its page tells more: {_page(run)}; finished work is kept: run again to go on",
        )

    def _ended(self) -> FlowRun:
        """Join the run that is under way, or start one, and return it when it has ended."""
        with get_client(sync_client=True) as client:
            number, under_way = self._attempt(client)
        again = f", attempt {number}" if number > 1 else ""
        said = (
            f"another run has it made; waits for {_page(under_way)}"
            if under_way
            else f"triggers {self.stage}/{self.stage}{again}"
        )
        logger.info("%s: %s (%s)", self.stage, said, self.key[:8])
        ended = run_deployment(
            f"{self.stage}/{self.stage}",
            parameters={"recipe": self.recipe.model_dump(mode="json"), **self.parameters},
            flow_run_name=f"{self.recipe.name}: {self.stage} {self.key[:8]}{again}",
            idempotency_key=self._name(number),
            as_subflow=not under_way,  # a run has one parent: the one that started it
            timeout=None,
            poll_interval=_POLL_SECONDS,
        )
        run = cast("FlowRun", ended)
        logger.info("%s: the run %r ended as %s (%s)", self.stage, run.name, run.state and run.state.name, _page(run))
        return run

    def _attempt(self, client: SyncPrefectClient) -> tuple[int, FlowRun | None]:
        """Return the first attempt that is not over, and its run if it was started: a key once bound to a run stays so."""
        number = 1
        while (run := _find(client, self._name(number))) and run.state and run.state.is_final():
            number += 1
        return number, run

    def _name(self, number: int) -> str:
        place = self.recipe.store if "://" in self.recipe.store else str(Store(self.recipe.store).root)
        return f"{self.stage}-{self.key}-{hashlib.sha256(place.encode()).hexdigest()[:8]}-{number}"


def _find(client: SyncPrefectClient, idempotency_key: str) -> FlowRun | None:
    wanted = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=[idempotency_key]))
    return next(iter(client.read_flow_runs(flow_run_filter=wanted)), None)


def _page(run: FlowRun) -> str:
    server = get_current_settings().ui_url or ""
    return f"{server}/runs/flow-run/{run.id}"
