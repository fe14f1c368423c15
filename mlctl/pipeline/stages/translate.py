"""translate: monolingual text gets its missing side."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from mlctl.config import Recipe, key_settings
from mlctl.execution.local_backend import LOCAL
from mlctl.execution.registry import open_backend
from mlctl.pipeline.licence_check import check_translation_licence
from mlctl.pipeline.stage import Metrics, Stage, StageContext
from mlctl.pipeline.translation_memory import memory_file
from storage import Store


def _settings(recipe: Recipe) -> dict[str, Any]:
    if recipe.translate.backend == "none":  # the settings of an unused backend change nothing
        return {"backend": "none", "languages": key_settings(recipe.languages)}
    # The list of licences changes no byte; in the key, a shorter list checks again before a result is used.
    sections = {"translate": recipe.translate, "languages": recipe.languages, "licences": recipe.licences}
    settings = {name: key_settings(section) for name, section in sections.items()}
    if recipe.translate.backend != "openai":
        del settings["translate"]["openai"]
    return settings


def _outside(recipe: Recipe) -> dict[str, str]:
    if recipe.translate.backend == "none":
        return {}
    from mlctl import translation

    return translation.fingerprint(recipe.translate, recipe.languages)


def _work(context: StageContext) -> Metrics:
    from mlctl import translation

    recipe = context.recipe
    check_translation_licence(recipe)
    # Caches beside the results: every run may use them and none needs them.
    memory, converted = memory_file(recipe), Store(recipe.store).root / "models" / "ctranslate2"
    unused = recipe.translate.backend == "none"
    with nullcontext(LOCAL) if unused else open_backend(recipe, context.workspace) as backend:
        return translation.translate(
            recipe.translate,
            recipe.languages,
            context.inputs["clean"],
            context.workspace,
            context.progress,
            memory,
            converted,
            backend,
        )


STAGE = Stage(
    name="translate",
    version=6,
    needs=("clean",),
    settings=_settings,
    work=_work,
    outside=_outside,
    packages=("ctranslate2", "sacrebleu", "transformers", "torch"),
)
