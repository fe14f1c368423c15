"""The Prefect task of the stage report."""

from __future__ import annotations

import functools

from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages.report import STAGE
from tasks.artifacts import publish_report
from tasks.stage_task import run_stage, stage_task


@stage_task
def report(
    recipe: Recipe, downloaded: Ref, cleaned: Ref, translated: Ref, aligned: Ref, sharded: Ref, trained: Ref, evaluated: Ref
) -> Ref:
    """Write the page from the results of all stages before it."""
    publish = functools.partial(publish_report, recipe.store)
    return run_stage(STAGE, recipe, downloaded, cleaned, translated, aligned, sharded, trained, evaluated, publish=publish)
