"""The Prefect task of the stage download."""

from __future__ import annotations

from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages.download import STAGE
from tasks.stage_task import run_stage, stage_task


@stage_task
def download(recipe: Recipe) -> Ref:
    """Fetch and read the recipe's corpora."""
    return run_stage(STAGE, recipe)
