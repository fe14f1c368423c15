"""The pipeline, from text to a better encoder and a report."""

from __future__ import annotations

from flows.deployment_runs import Where, at, cancel_children, runs_here
from flows.flow_run import recipe_flow, run_flow
from flows.recipe_parameter import RecipeParameter
from mlctl.config import Recipe
from mlctl.pipeline import run
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages import stages_until
from mlctl.stage_names import StageName
from tasks.registry import TASKS


def run_stages(recipe: Recipe, until: StageName, where: Where = "here") -> Ref:
    """Run the stages up to `until` as tasks, and return the last reference."""
    return run.run_stages(recipe, until, lambda stage: at(where, TASKS[stage.name]))


@recipe_flow("pipeline", on_cancellation=[cancel_children])
def pipeline(
    recipe: RecipeParameter = "demo",
    overrides: list[str] = [],  # noqa: B006 - a literal default is shown in the form
    until: StageName = "report",
    where: Where = "here",
) -> Ref:
    """Turn text into a better encoder: every stage up to `until`, each cached in the recipe's store and resumable.

    Args:
        recipe: What to run: the name of a recipe, a YAML file, or all settings.
        overrides: Settings to change, one a line: train.steps=200.
        until: The last stage to run.
        where: here: all stages in this process. deployments: training and evaluation as runs of `train/train` and
            `evaluate/evaluate`, on the GPU pool.
    """
    stages = [stage.name for stage in stages_until(until) if runs_here(where, stage.name)]  # others are checked where they run
    return run_flow("pipeline", recipe, overrides, stages, lambda loaded: run_stages(loaded, until, where))
