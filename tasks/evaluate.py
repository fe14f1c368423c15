"""The Prefect task of the stage evaluate."""

from __future__ import annotations

from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages.evaluate import STAGE
from tasks.artifacts import publish_benchmark
from tasks.stage_task import run_stage, stage_task


@stage_task
def evaluate(recipe: Recipe, *inputs: Ref) -> Ref:
    """Evaluate both models on the held-out pairs of every language and on the recipe's benchmarks; `inputs` are those of the recipe."""
    return run_stage(STAGE, recipe, *inputs, publish=publish_benchmark)
