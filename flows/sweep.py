"""A sweep: variants of a recipe × training seeds, each a run of the pipeline, and their comparison. Also: `mlctl sweep RECIPE SWEEP`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, cast

from prefect.context import FlowRunContext
from prefect.states import Completed, Failed
from pydantic import WithJsonSchema

from flows.flow_run import finished, recipe_flow
from flows.recipe_parameter import RecipeParameter, name_of, resolve
from flows.sweep_process import run_in_processes
from mlctl.config import Recipe
from mlctl.config.sweep import Sweep, SweepDefinition, load_sweep, parse_sweep
from mlctl.core.interruption import take_signals
from mlctl.core.long_values import cut_long_values
from mlctl.errors import InputError
from mlctl.pipeline import run_log, sweep_runs
from mlctl.pipeline.stage import Ref, lineage, make, result_of
from mlctl.pipeline.store_session import use_store
from mlctl.pipeline.sweep import EvaluatedVariant, sweep_stage
from mlctl.pipeline.sweep_runs import SweepRun
from storage import StoreError
from tasks.artifacts import publish_sweep
from tasks.server_calls import calls

logger = logging.getLogger("mlctl.stages")

_SweepFile = Annotated[
    str, WithJsonSchema({"type": "string", "title": "Sweep file", "description": "Path of a YAML file on the worker's machine."})
]
SweepParameter = _SweepFile | Sweep


def _run_name() -> str:
    parameters: dict[str, Any] = cast("FlowRunContext", FlowRunContext.get()).parameters or {}
    recipe = name_of(parameters.get("recipe"), parameters.get("overrides", ()))
    try:
        name = resolve_sweep(parameters.get("sweep")).sweep.name
    except InputError:
        name = "sweep"
    return f"{cut_long_values(name)} of {cut_long_values(recipe)}, {datetime.now():%d %b %H:%M}"


@recipe_flow("sweep", _run_name)
def sweep(
    recipe: RecipeParameter = "demo",
    overrides: list[str] = [],  # noqa: B006 - a literal default is shown in the form
    sweep: SweepParameter = "benchmarks/sweeps/seeds.yaml",
    parallel: int = 1,
) -> Ref:
    """Train variants of a recipe with several seeds and compare them: each a run of the pipeline; what the store has is not computed again.

    Args:
        recipe: What the variants change: the name of a recipe, a YAML file, or all settings.
        overrides: Settings to change in all runs, one a line: train.steps=200.
        sweep: The variants and seeds: a YAML file, or its content.
        parallel: Runs at the same time.
    """
    take_signals()
    try:
        loaded = resolve(recipe, overrides)
        definition = resolve_sweep(sweep)
        runs = sweep_runs.plan_runs(loaded, definition, overrides)
        with use_store(loaded), run_log.recording_overrides(overrides), run_log.record_run("sweep", loaded):
            sweep_runs.check_runs(runs)
            ref, message = _sweep(loaded, definition, runs, parallel, overrides)
        return cast("Ref", Completed(message=message, data=ref))
    except (InputError, StoreError) as error:
        return cast("Ref", Failed(message=str(error), data=error))
    finally:
        calls.end_run()


def resolve_sweep(sweep: object) -> SweepDefinition:
    """Return the sweep of a flow's parameter: a YAML file, its content, or a `Sweep`.

    Raises:
        InputError: there is no such file, or it is not a sweep.
    """
    if isinstance(sweep, (str, Path)):
        return load_sweep(Path(sweep))
    values = sweep.model_dump(mode="json") if isinstance(sweep, Sweep) else sweep
    if not isinstance(values, dict):
        raise InputError(f"sweep: {sweep!r} is not a sweep", "give the path of a YAML file, or its content")
    return parse_sweep(values)


def _sweep(
    recipe: Recipe, definition: SweepDefinition, runs: Sequence[SweepRun], parallel: int, overrides: Sequence[str]
) -> tuple[Ref, str]:
    """Run what is not in the store, then compare. Return the comparison and a summary.

    Raises:
        InputError: runs have failed; the others are compared.
    """
    state = _SweepState()
    for run in runs:
        if ref := sweep_runs.finished(run):
            state.add(run, ref)
    cached = len(state.refs)
    _run_missing(state, [run for run in runs if run.name not in state.refs], parallel, overrides)
    failure = _failure(runs, state.errors) if state.errors else None
    if failure and not state.refs:
        raise failure
    ref, compared_before = make(sweep_stage(definition.sweep, _evaluated(definition, recipe, runs, state)), recipe, ())
    publish_sweep(recipe.store, result_of(ref))
    finished.append(ref)
    if failure:
        raise failure
    nothing = "; nothing was computed" if cached == len(runs) and compared_before else ""
    return ref, f"{len(runs)} runs: {len(runs) - cached} computed, {cached} cached{nothing}"


@dataclass
class _SweepState:
    """What became of the runs so far, by their names: evaluate results, and errors."""

    refs: dict[str, Ref] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    _recorded: set[tuple[str, str]] = field(default_factory=set)

    def add(self, run: SweepRun, ref: Ref) -> None:
        """Add a finished run. Its results are recorded as the sweep's: garbage collection keeps them as long as the sweep."""
        self.refs[run.name] = ref
        for name, result in reversed(lineage(ref).items()):
            if (address := (name, result.manifest.key)) not in self._recorded:
                self._recorded.add(address)
                with run_log.record_stage(*address) as record:
                    record.state = "cached"


def _run_missing(state: _SweepState, missing: Sequence[SweepRun], parallel: int, overrides: Sequence[str]) -> None:
    total = len(missing) + len(state.refs)
    for outcome in run_in_processes(missing, parallel, overrides):
        ref = None if outcome.error else sweep_runs.finished(outcome.run)
        if ref:
            state.add(outcome.run, ref)
            logger.info("sweep: %s: done (%d of %d)", outcome.run.name, len(state.refs), total)
        else:
            state.errors[outcome.run.name] = outcome.error or "its result is not in the store"
            logger.error("sweep: %s: failed: %s", outcome.run.name, state.errors[outcome.run.name])


def _evaluated(
    definition: SweepDefinition, recipe: Recipe, runs: Sequence[SweepRun], state: _SweepState
) -> list[EvaluatedVariant]:
    return [
        EvaluatedVariant(
            variant,
            {run.seed: state.refs[run.name] for run in runs if run.variant == variant and run.name in state.refs},
            [run.seed for run in runs if run.variant == variant and run.name in state.errors],
        )
        for variant in definition.variants(recipe.name)
    ]


def _failure(runs: Sequence[SweepRun], errors: Mapping[str, str]) -> InputError:
    lines = [f"{name}: {error}".replace("\n", "\n   ") for name, error in errors.items()]
    problem = "\n".join([f"{len(errors)} of {len(runs)} runs failed; the others are kept:", *lines])
    return InputError(problem, "fix the cause, or remove the variant, and run the same command again: finished runs are cached")
