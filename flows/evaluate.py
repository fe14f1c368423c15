"""The part of the pipeline that evaluates, on a GPU where one is available, and writes the report."""

from __future__ import annotations

from typing import Literal

import tasks.evaluate
import tasks.report
from flows.flow_run import existing_result, recipe_flow, run_flow
from flows.recipe_parameter import RecipeParameter
from mlctl.config import Recipe
from mlctl.pipeline.stage import Ref, lineage
from mlctl.pipeline.stages import evaluate as evaluate_stage
from mlctl.pipeline.stages import report


@recipe_flow("evaluate")
def evaluate(
    recipe: RecipeParameter = "demo",
    overrides: list[str] = [],  # noqa: B006 - a literal default is shown in the form
    trained: str = "",
    until: Literal["evaluate", "report"] = "report",
) -> Ref:
    """Evaluate a trained encoder of the store against its base model, and write the report.

    Args:
        recipe: How it is evaluated, and the store.
        overrides: Settings to change, one a line: evaluate.batch_rows=64.
        trained: Key of the trained encoder; empty: the one that `train` made from this recipe.
        until: The last stage to run.
    """
    return run_flow(
        "evaluate",
        recipe,
        overrides,
        ("evaluate",),
        lambda loaded: _evaluate(loaded, existing_result(loaded, "train", trained), until),
    )


def _evaluate(recipe: Recipe, trained: Ref, until: str) -> Ref:
    refs = {name: Ref(stage=name, key=result.manifest.key, store=recipe.store) for name, result in lineage(trained).items()}
    refs["train"] = trained
    refs["evaluate"] = tasks.evaluate.evaluate(recipe, *(refs[name] for name in evaluate_stage.STAGE.inputs(recipe)))
    if until == "evaluate":
        return refs["evaluate"]
    written: Ref = tasks.report.report(recipe, *(refs[name] for name in report.STAGE.needs))
    return written
