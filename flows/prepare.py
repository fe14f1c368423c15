"""The part of the pipeline that makes training data from text; it needs no GPU."""

from __future__ import annotations

from flows.flow_run import recipe_flow, run_flow
from flows.pipeline import run_stages
from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages import stages_until


@recipe_flow("prepare")
def prepare(recipe: Recipe) -> Ref:
    """Make shards from the recipe's text: download, clean, translate, align, shard.

    Args:
        recipe: Languages, text and the store of the results; training and evaluation do not run.
    """
    names = [stage.name for stage in stages_until("shard")]
    return run_flow("prepare", recipe, names, lambda: run_stages(recipe, "shard"))
