"""Stages that run as separate deployment runs: one run for each key however many runs wait for it, restarted after a crash."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.settings import get_current_settings
from prefect.states import Cancelling

from mlctl.config import Recipe
from mlctl.core.url_redaction import redact_values
from mlctl.errors import InputError
from mlctl.pipeline import run_log
from mlctl.pipeline.stage import Ref, lookup, result_of
from mlctl.pipeline.stages import stage_named
from storage import Store
from tasks.stage_task import StageTask

logger = logging.getLogger("mlctl.stages")

Where = Literal["here", "deployments"]

ATTEMPTS = 3
_POLL_SECONDS = 2.0

# Parameters of a deployment besides the recipe: the key of the result that it starts from, and the last stage.
_PARAMETERS: dict[str, Callable[[tuple[Ref, ...]], dict[str, str]]] = {
    "train": lambda refs: {"sharded": refs[-1]["key"]},
    "evaluate": lambda refs: {"trained": refs[-1]["key"], "until": "evaluate"},
}


def at(where: Where, task: StageTask[Any]) -> Callable[..., Ref]:
    """Return what makes a stage's result: the task itself, or for train and evaluate a run of the deployment of that name."""
    return task if runs_here(where, task.name) else functools.partial(_run_deployment, task)


def runs_here(where: Where, stage: str) -> bool:
    """Return whether a stage runs in this process, and not as a run of a deployment."""
    return where == "here" or stage not in _PARAMETERS


def cancel_children(flow: Any, flow_run: FlowRun, state: State) -> None:
    """Cancel the runs that a cancelled run triggered: a hook of Prefect, which passes these arguments by name."""
    del flow, state
    children = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run.id]))
    with get_client(sync_client=True) as client:
        for child in client.read_flow_runs(flow_run_filter=children):
            if child.state and not child.state.is_final():
                client.set_flow_run_state(child.id, Cancelling(message=f"{flow_run.name} was cancelled"))


def _run_deployment(task: StageTask[Any], recipe: Recipe, *refs: Ref) -> Ref:
    """Return the stage's result; where the store has it no run is triggered and the task reports it as cached."""
    stage = stage_named(task.name)
    key, existing = lookup(stage, recipe, refs)
    if existing:
        return cast("Ref", task(recipe, *refs))
    made = Ref(stage=stage.name, key=key, store=recipe.store)
    with run_log.record_stage(stage.name, key) as record:
        _DeploymentRun(stage.name, key, recipe, _PARAMETERS[stage.name](refs)).wait()
        record.state = "computed"
    result_of(made)
    return made


@dataclass(frozen=True)
class _DeploymentRun:
    """A run of a deployment that makes one result."""

    stage: str
    key: str
    recipe: Recipe
    parameters: dict[str, str]

    def wait(self) -> None:
        """Start or join the run, and wait until it has made the result.

        Raises:
            InputError: the run failed, was cancelled, or crashed several times; or the server is away for good.
        """
        for _ in range(ATTEMPTS):
            try:
                run = self._run_to_end()
            except httpx.TransportError as error:
                raise InputError(
                    f"{self.stage}: the Prefect server does not answer ({type(error).__name__})",
                    "start it again; the run that was triggered goes on, and this one joins it when it is run again",
                ) from None
            state = cast("State", run.state)
            if state.is_completed():
                return
            if not state.is_crashed():
                break
            logger.warning("%s: the run %r crashed (%s)", self.stage, run.name, state.message)
        times = f" {ATTEMPTS} times, the last time" if state.is_crashed() else ""
        raise InputError(
            f"{self.stage}: the run {run.name!r} ended{times} as {state.name}: {state.message or 'no message'}",
            f"see its page {_page(run)}; finished work is kept: run again to resume",
        )

    def _run_to_end(self) -> FlowRun:
        """Join the current run, or start one, and return it when it has ended."""
        with get_client(sync_client=True) as client:
            number, current = self._attempt(client)
        again = f", attempt {number}" if number > 1 else ""
        action = f"waits for the current run {_page(current)}" if current else f"triggers {self.stage}/{self.stage}{again}"
        logger.info("%s: %s (%s)", self.stage, action, self.key[:8])
        ended = run_deployment(
            f"{self.stage}/{self.stage}",
            parameters={
                "recipe": redact_values(self.recipe.model_dump(mode="json")),
                **self.parameters,
            },  # these stages fetch no text
            flow_run_name=f"{self.recipe.name}: {self.stage} {self.key[:8]}{again}",
            idempotency_key=self._idempotency_key(number),
            as_subflow=not current,  # a run has one parent: the one that started it
            timeout=None,
            poll_interval=_POLL_SECONDS,
        )
        run = cast("FlowRun", ended)
        logger.info("%s: the run %r ended as %s (%s)", self.stage, run.name, run.state and run.state.name, _page(run))
        return run

    def _attempt(self, client: SyncPrefectClient) -> tuple[int, FlowRun | None]:
        """Return the number of the first attempt that has not ended, and its run if one was started: an idempotency key stays bound to its run."""
        number = 1
        while (run := _find(client, self._idempotency_key(number))) and run.state and run.state.is_final():
            number += 1
        return number, run

    def _idempotency_key(self, number: int) -> str:
        store = self.recipe.store if "://" in self.recipe.store else str(Store(self.recipe.store).root)
        return f"{self.stage}-{self.key}-{hashlib.sha256(store.encode()).hexdigest()[:8]}-{number}"


def _find(client: SyncPrefectClient, idempotency_key: str) -> FlowRun | None:
    by_key = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=[idempotency_key]))
    return next(iter(client.read_flow_runs(flow_run_filter=by_key)), None)


def _page(run: FlowRun) -> str:
    server = get_current_settings().ui_url or ""
    return f"{server}/runs/flow-run/{run.id}"
