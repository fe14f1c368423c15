"""The part of the pipeline that judges, on a GPU where there is one, and reports."""

from __future__ import annotations

from typing import Literal

from prefect import flow

import tasks.evaluate
from flows.runs import carry_out, given, run_name
from mlctl.config import Recipe
from tasks.report import report
from tasks.stage import Ref, result_of


@flow(name="evaluate", flow_run_name=run_name, persist_result=False)
def evaluate(recipe: Recipe, trained: str = "", until: Literal["evaluate", "report"] = "report") -> Ref:
    """Judge a trained encoder that is in the store against its base model, and write the report.

    Args:
        recipe: How it is judged, and the store.
        trained: Key of the trained encoder; empty: the one that `train` made of this recipe.
        until: The last stage to run.
    """
    return carry_out("evaluate", recipe, ("evaluate",), lambda: _judged(recipe, given(recipe, "train", trained), until))


def _judged(recipe: Recipe, trained: Ref, until: str) -> Ref:
    sharded = Ref(stage="shard", key=result_of(trained).manifest.inputs["shard"], store=recipe.store)
    evaluated: Ref = tasks.evaluate.evaluate(recipe, sharded, trained)
    if until == "evaluate":
        return evaluated
    made: Ref = report(recipe, evaluated)
    return made
