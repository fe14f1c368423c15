"""The Prefect task of the stage evaluate."""

from __future__ import annotations

from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages.evaluate import STAGE
from tasks.artifacts import publish_benchmark
from tasks.stage_task import run_stage, stage_task


@stage_task
def evaluate(recipe: Recipe, aligned: Ref, sharded: Ref, trained: Ref) -> Ref:
    """Evaluate both models on the held-out pairs of every language and on the recipe's benchmarks."""
    return run_stage(STAGE, recipe, aligned, sharded, trained, publish=publish_benchmark)
