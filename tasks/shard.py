"""The Prefect task of the stage shard."""

from __future__ import annotations

import functools

from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages.shard import STAGE
from tasks.artifacts import publish_funnel
from tasks.stage_task import run_stage, stage_task


@stage_task
def shard(recipe: Recipe, aligned: Ref) -> Ref:
    """Write the training rows; the held-out pairs are kept apart."""
    publish = functools.partial(publish_funnel, examples=recipe.report.rejected_examples)
    return run_stage(STAGE, recipe, aligned, publish=publish)
