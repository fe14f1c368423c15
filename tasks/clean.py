"""The Prefect task of the stage clean."""

from __future__ import annotations

import functools

from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages.clean import STAGE
from tasks.artifacts import publish_funnel
from tasks.stage_task import run_stage, stage_task


@stage_task
def clean(recipe: Recipe, downloaded: Ref) -> Ref:
    """Normalise the pairs and drop the bad ones, each with the rule that dropped it."""
    publish = functools.partial(publish_funnel, examples=recipe.report.rejected_examples)
    return run_stage(STAGE, recipe, downloaded, publish=publish)
