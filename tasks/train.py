"""The Prefect task of the stage train."""

from __future__ import annotations

from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages.train import STAGE
from tasks import termination  # noqa: F401 - Prefect lets a training save its checkpoint
from tasks.artifacts import publish_training
from tasks.stage_task import run_stage, stage_task


@stage_task
def train(recipe: Recipe, sharded: Ref) -> Ref:
    """Train the encoder on the shards."""
    return run_stage(STAGE, recipe, sharded, publish=publish_training)
