"""The part of the pipeline that makes training data from text; it needs no GPU."""

from __future__ import annotations

from flows.flow_run import recipe_flow, run_flow
from flows.pipeline import run_stages
from flows.recipe_parameter import RecipeParameter
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages import stages_until


@recipe_flow("prepare")
def prepare(recipe: RecipeParameter = "demo", overrides: list[str] = []) -> Ref:  # noqa: B006 - shown in the form
    """Make shards from the recipe's text: download, clean, translate, align, shard.

    Args:
        recipe: Languages, text and the store of the results; training and evaluation do not run.
        overrides: Settings to change, one a line: clean.max_words=80.
    """
    stages = [stage.name for stage in stages_until("shard")]
    return run_flow("prepare", recipe, overrides, stages, lambda loaded: run_stages(loaded, "shard"))
