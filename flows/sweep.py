"""A sweep: variants of a recipe × training seeds, each a run of the pipeline, and their comparison. Also: `mlctl sweep RECIPE SWEEP`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, cast

from prefect.context import FlowRunContext
from pydantic import WithJsonSchema

from flows.flow_run import finished, recipe_flow, run_comparison
from flows.recipe_parameter import RecipeParameter, name_of
from flows.variant_runs import CompletedRuns
from mlctl import sweeps
from mlctl.config import Recipe
from mlctl.config.sweep import Sweep, SweepDefinition, load_sweep, parse_sweep
from mlctl.core.long_values import cut_long_values
from mlctl.errors import InputError
from mlctl.pipeline import sweep_runs
from mlctl.pipeline.stage import Ref, make, result_of
from mlctl.pipeline.sweep import EvaluatedVariant, sweep_stage
from mlctl.pipeline.variant_runs import VariantRun, check_runs
from tasks.artifacts import publish_sweep

_SWEEP = "Name of a built-in sweep, or path of a YAML file on the worker's machine."
_SweepName = Annotated[str, WithJsonSchema({"type": "string", "title": "Sweep", "description": _SWEEP})]
SweepParameter = _SweepName | Sweep


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
    sweep: SweepParameter = "seeds",
    parallel: int = 1,
) -> Ref:
    """Train variants of a recipe with several seeds and compare them: each a run of the pipeline; what the store has is not computed again.

    Args:
        recipe: What the variants change: the name of a recipe, a YAML file, or all settings.
        overrides: Settings to change in all runs, one a line: train.steps=200.
        sweep: The variants and seeds: a built-in sweep, a YAML file, or its content.
        parallel: Runs at the same time.
    """

    def prepare(loaded: Recipe) -> Callable[[], tuple[Ref, str]]:
        definition = resolve_sweep(sweep)
        runs = sweep_runs.plan_runs(loaded, definition, overrides)
        return lambda: _sweep(loaded, definition, runs, parallel, overrides)

    return run_comparison("sweep", recipe, overrides, prepare)


def resolve_sweep(sweep: object) -> SweepDefinition:
    """Return the sweep of a flow's parameter: the name of a built-in sweep, a YAML file, its content, or a `Sweep`.

    Raises:
        InputError: there is no such sweep or file, or it is not a sweep.
    """
    if isinstance(sweep, (str, Path)):
        return load_sweep(sweeps.find(str(sweep)))
    values = sweep.model_dump(mode="json") if isinstance(sweep, Sweep) else sweep
    if not isinstance(values, dict):
        raise InputError(
            f"sweep: {sweep!r} is not a sweep", "give the name of a built-in sweep, the path of a YAML file, or its content"
        )
    return parse_sweep(values)


def _sweep(
    recipe: Recipe, definition: SweepDefinition, runs: Sequence[VariantRun], parallel: int, overrides: Sequence[str]
) -> tuple[Ref, str]:
    """Run what is not in the store, then compare. Return the comparison and a summary.

    Raises:
        InputError: runs have failed; the others are compared.
    """
    check_runs(runs)
    state = CompletedRuns()
    state.complete(runs, parallel, overrides, "sweep")
    failure = state.failure("fix the cause, or remove the variant, and run the same command again: finished runs are cached")
    if failure and not state.refs:
        raise failure
    ref, compared_before = make(sweep_stage(definition.sweep, _evaluated(definition, recipe, runs, state)), recipe, ())
    publish_sweep(recipe.store, result_of(ref))
    finished.append(ref)
    if failure:
        raise failure
    nothing = "; nothing was computed" if state.cached == len(runs) and compared_before else ""
    return ref, f"{len(runs)} runs: {len(runs) - state.cached} computed, {state.cached} cached{nothing}"


def _evaluated(
    definition: SweepDefinition, recipe: Recipe, runs: Sequence[VariantRun], state: CompletedRuns
) -> list[EvaluatedVariant]:
    return [
        EvaluatedVariant(
            variant,
            {run.seed: state.refs[run.name] for run in runs if run.variant == variant and run.name in state.refs},
            [run.seed for run in runs if run.variant == variant and run.name in state.errors],
        )
        for variant in definition.variants(recipe.name)
    ]
