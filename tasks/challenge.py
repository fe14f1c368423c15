"""The Prefect task of a challenge: challenger against champion."""

from __future__ import annotations

from mlctl.config import Recipe
from mlctl.pipeline.challenge import challenge_stage
from mlctl.pipeline.stage import Ref
from tasks.artifacts import publish_benchmark
from tasks.stage_task import run_stage, stage_task


@stage_task
def challenge(recipe: Recipe, sharded: Ref, trained: Ref, champion: dict[str, Ref]) -> Ref:
    """Evaluate the challenger as `trained` against the champion as `base`; `champion` has its shard and train results."""
    return run_stage(challenge_stage(champion), recipe, sharded, trained, publish=publish_benchmark)
