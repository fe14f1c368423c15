"""The part of the pipeline that trains, on a GPU where there is one."""

from __future__ import annotations

from prefect import flow

import tasks.train
from flows.runs import carry_out, given, run_name
from mlctl.config import Recipe
from tasks.stage import Ref


@flow(name="train", flow_run_name=run_name, persist_result=False)
def train(recipe: Recipe, sharded: str = "") -> Ref:
    """Train the recipe's encoder on shards that are in the store; goes on from the newest checkpoint.

    Args:
        recipe: The model, how it is trained, and the store.
        sharded: Key of the shards to train on; empty: those that `prepare` made of this recipe.
    """
    return carry_out("train", recipe, ("train",), lambda: tasks.train.train(recipe, given(recipe, "shard", sharded)))
