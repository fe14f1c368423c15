"""clean: sentence pairs are normalised and filtered."""

from __future__ import annotations

from typing import Any

from mlctl.config import Recipe, key_settings
from mlctl.execution.registry import open_backend
from mlctl.pipeline import clean_warm_start, score_models
from mlctl.pipeline.stage import Metrics, Stage, StageContext
from mlctl.pipeline.warm_start import WarmStart


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"clean": key_settings(recipe.clean), "languages": key_settings(recipe.languages)}


def _work(context: StageContext) -> Metrics:
    from mlctl import cleaning

    recipe, reused = context.recipe, context.reused
    lexicons = {target: reused[name] for target in recipe.languages.targets if (name := f"lexicon.{target}") in reused}
    with open_backend(recipe, context.workspace) as backend:
        return cleaning.clean(
            recipe.clean,
            recipe.languages,
            context.inputs["download"],
            context.workspace,
            context.progress,
            lexicons,
            backend,
            score_models.encoders(recipe, reused),
        )


STAGE = Stage(
    name="clean",
    version=9,
    needs=("download",),
    settings=_settings,
    work=_work,
    outside=score_models.digests,
    warm_start=WarmStart("clean-lexicons", clean_warm_start.requested, clean_warm_start.choose),
    packages=("ftfy", "py3langid", "pyarrow", "regex", "rensa"),
)
