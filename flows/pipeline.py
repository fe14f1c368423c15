"""The pipeline, from text to a better encoder and a report."""

from __future__ import annotations

from flows.deployment_runs import Where, at, cancel_children, runs_here
from flows.flow_run import recipe_flow, run_flow
from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages import stages_until
from mlctl.stage_names import StageName
from tasks.registry import TASKS


def run_stages(recipe: Recipe, until: StageName, where: Where = "here") -> Ref:
    """Run the stages in order up to `until`, each on the results that it needs, and return the last reference."""
    refs: dict[str, Ref] = {}
    for stage in stages_until(until):
        refs[stage.name] = at(where, TASKS[stage.name])(recipe, *(refs[name] for name in stage.needs))
    return refs[until]


@recipe_flow("pipeline", on_cancellation=[cancel_children])
def pipeline(recipe: Recipe, until: StageName = "report", where: Where = "here") -> Ref:
    """Turn text into a better encoder: every stage up to `until`, each cached in the recipe's store and resumable.

    Args:
        recipe: What to run: languages, text, model, training, evaluation, and the store of the results.
        until: The last stage to run.
        where: here: all stages in this process. deployments: training and evaluation as runs of `train/train` and
            `evaluate/evaluate`, on the GPU pool.
    """
    names = [stage.name for stage in stages_until(until) if runs_here(where, stage.name)]  # others are checked where they run
    return run_flow("pipeline", recipe, names, lambda: run_stages(recipe, until, where))
