"""translate: the missing side of text that has no translation."""

from __future__ import annotations

import functools
from typing import Any

from mlctl import translation
from mlctl.config import Recipe, key_settings
from mlctl.core.workspace import Progress, Workspace
from storage import Result, Store
from tasks.artifacts import publish_funnel, publish_translation
from tasks.engine import run_stage, stage_task
from tasks.licences import check_engines
from tasks.stage import Folders, Metrics, Ref, Stage


def _settings(recipe: Recipe) -> dict[str, Any]:
    if recipe.translate.backend == "none":  # what an unused backend would do changes nothing
        return {"backend": "none", "languages": key_settings(recipe.languages)}
    # The list of licences changes no byte; in the key, a shorter list asks again before a result is used.
    sections = {"translate": recipe.translate, "languages": recipe.languages, "licences": recipe.licences}
    return {name: key_settings(section) for name, section in sections.items()}


def _outside(recipe: Recipe) -> dict[str, str]:
    return translation.fingerprint(recipe.translate, recipe.languages)


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    check_engines(recipe)
    beside = Store(recipe.store).root  # no results: what every run may use and nobody misses
    memory = beside / "memory" / "translations.sqlite" if recipe.translate.remember else None
    cache = beside / "models" / "ctranslate2"
    return translation.translate(recipe.translate, recipe.languages, folders["clean"], workspace, progress, memory, cache)


STAGE = Stage(
    "translate", 2, ("clean",), _settings, _work, _outside, packages=("ctranslate2", "sacrebleu", "transformers", "torch")
)


@stage_task
def translate(recipe: Recipe, cleaned: Ref) -> Ref:
    """Translate what has no translation yet."""
    return run_stage(STAGE, recipe, cleaned, publish=functools.partial(_publish, examples=recipe.report.rejected_examples))


def _publish(result: Result, examples: int) -> None:
    publish_translation(result)
    publish_funnel(result, examples)
