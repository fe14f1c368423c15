"""The Prefect task of the stage align."""

from __future__ import annotations

import functools

from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages.align import STAGE
from tasks.artifacts import publish_alignment
from tasks.stage_task import run_stage, stage_task


@stage_task
def align(recipe: Recipe, cleaned: Ref, translated: Ref) -> Ref:
    """Link the words of every pair: train once a language, then align part by part."""
    publish = functools.partial(publish_alignment, examples=recipe.report.rejected_examples)
    return run_stage(STAGE, recipe, cleaned, translated, publish=publish)
