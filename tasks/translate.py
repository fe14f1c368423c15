"""translate: the missing side of text that has no translation."""

from __future__ import annotations

import functools
from typing import Any

from mlctl import translation
from mlctl.config import Recipe, key_settings
from mlctl.workspace import Progress, Workspace
from tasks.artifacts import publish_funnel
from tasks.engine import run_stage, stage_task
from tasks.stage import Folders, Metrics, Ref, Stage


def _settings(recipe: Recipe) -> dict[str, Any]:
    if recipe.translate.backend == "none":  # what an unused backend would do changes nothing
        return {"backend": "none", "languages": key_settings(recipe.languages)}
    return {"translate": key_settings(recipe.translate), "languages": key_settings(recipe.languages)}


def _outside(recipe: Recipe) -> dict[str, str]:
    return translation.fingerprint(recipe.translate, recipe.languages)


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    return translation.translate(recipe.translate, recipe.languages, folders["clean"], workspace, progress)


STAGE = Stage("translate", 1, ("clean",), _settings, _work, _outside, packages=("transformers", "torch"))


@stage_task
def translate(recipe: Recipe, cleaned: Ref) -> Ref:
    """Translate what has no translation yet."""
    publish = functools.partial(publish_funnel, examples=recipe.report.rejected_examples)
    return run_stage(STAGE, recipe, cleaned, publish=publish)
