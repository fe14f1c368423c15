"""align: which word of one side translates which of the other."""

from __future__ import annotations

import functools
from typing import Any

from mlctl import alignment
from mlctl.config import Recipe, key_settings
from mlctl.workspace import Progress, Workspace
from tasks.artifacts import publish_funnel
from tasks.engine import run_stage, stage_task
from tasks.stage import Folders, Metrics, Ref, Stage


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"align": key_settings(recipe.align), "languages": key_settings(recipe.languages), "seed": recipe.seed}


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    pairs = [folders["clean"], folders["translate"]]
    return alignment.align(recipe.align, recipe.languages, recipe.seed, pairs, workspace, progress)


STAGE = Stage("align", 2, ("clean", "translate"), _settings, _work, packages=("sil-thot", "sacremoses", "icu4py"))


@stage_task
def align(recipe: Recipe, cleaned: Ref, translated: Ref) -> Ref:
    """Align the words of every pair in both directions and symmetrise."""
    publish = functools.partial(publish_funnel, examples=recipe.report.rejected_examples)
    return run_stage(STAGE, recipe, cleaned, translated, publish=publish)
