"""The part of the pipeline that trains, on a GPU where one is available."""

from __future__ import annotations

import tasks.train
from flows.flow_run import existing_result, recipe_flow, run_flow
from flows.recipe_parameter import RecipeParameter
from mlctl.pipeline.stage import Ref


@recipe_flow("train")
def train(recipe: RecipeParameter = "demo", overrides: list[str] = [], sharded: str = "") -> Ref:  # noqa: B006 - shown in the form
    """Train the recipe's encoder on shards in the store; resumes from the newest checkpoint.

    Args:
        recipe: The model, how it is trained, and the store.
        overrides: Settings to change, one a line: train.steps=200.
        sharded: Key of the shards to train on; empty: those that `prepare` made from this recipe.
    """
    return run_flow(
        "train",
        recipe,
        overrides,
        ("train",),
        lambda loaded: tasks.train.train(loaded, existing_result(loaded, "shard", sharded)),
    )
