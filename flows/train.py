"""The part of the pipeline that trains, on a GPU where one is available."""

from __future__ import annotations

import tasks.train
from flows.flow_run import existing_result, recipe_flow, run_flow
from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref


@recipe_flow("train")
def train(recipe: Recipe, sharded: str = "") -> Ref:
    """Train the recipe's encoder on shards in the store; resumes from the newest checkpoint.

    Args:
        recipe: The model, how it is trained, and the store.
        sharded: Key of the shards to train on; empty: those that `prepare` made from this recipe.
    """
    return run_flow("train", recipe, ("train",), lambda: tasks.train.train(recipe, existing_result(recipe, "shard", sharded)))
