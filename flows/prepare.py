"""The part of the pipeline that makes training data of text; it needs no GPU."""

from __future__ import annotations

from prefect import flow

from flows.pipeline import stages
from flows.runs import carry_out, run_name
from mlctl.config import Recipe
from tasks.stage import Ref

_STAGES = ("download", "clean", "translate", "align", "shard")


@flow(name="prepare", flow_run_name=run_name, persist_result=False)
def prepare(recipe: Recipe) -> Ref:
    """Make shards of the recipe's text: download, clean, translate, align, shard.

    Args:
        recipe: Languages, text and the store of the results; training and judging are left for later.
    """
    return carry_out("prepare", recipe, _STAGES, lambda: next(r for r in stages(recipe) if r["stage"] == "shard"))
