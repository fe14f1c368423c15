"""The Prefect task of the stage translate."""

from __future__ import annotations

import functools

from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages.translate import STAGE
from tasks.artifacts import publish_translation
from tasks.stage_task import run_stage, stage_task


@stage_task
def translate(recipe: Recipe, cleaned: Ref) -> Ref:
    """Translate the text that has no translation yet."""
    publish = functools.partial(publish_translation, examples=recipe.report.rejected_examples)
    return run_stage(STAGE, recipe, cleaned, publish=publish)
