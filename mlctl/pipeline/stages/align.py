"""align: words of both sides are linked."""

from __future__ import annotations

from typing import Any

from mlctl.config import Recipe, key_settings
from mlctl.execution.registry import open_backend
from mlctl.pipeline import align_warm_start
from mlctl.pipeline.stage import Metrics, Stage, StageContext
from mlctl.pipeline.warm_start import WarmStart


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"align": key_settings(recipe.align), "languages": key_settings(recipe.languages), "seed": recipe.seed}


def _work(context: StageContext) -> Metrics:
    from mlctl import alignment

    recipe, reused = context.recipe, context.reused
    priors = {target: reused[name] for target in recipe.languages.targets if (name := f"priors.{target}") in reused}
    pairs = [context.inputs["clean"], context.inputs["translate"]]
    with open_backend(recipe, context.workspace) as backend:
        return alignment.align(
            recipe.align,
            recipe.languages,
            recipe.seed,
            pairs,
            context.workspace,
            context.progress,
            priors,
            reused.get("encoder"),
            backend,
        )


STAGE = Stage(
    name="align",
    version=11,
    needs=("clean", "translate"),
    settings=_settings,
    work=_work,
    warm_start=WarmStart("align-priors", align_warm_start.requested, align_warm_start.choose),
    packages=("icu4py", "numba", "regex", "sacremoses", "sil-thot", "torch"),
)
