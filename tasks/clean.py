"""clean: pairs that are good enough to learn from."""

from __future__ import annotations

import functools
from typing import Any

from mlctl import cleaning
from mlctl.config import Recipe, key_settings
from mlctl.core.workspace import Progress, Workspace
from mlctl.execution.backend import open_backend
from tasks import lexicons
from tasks.artifacts import publish_funnel
from tasks.engine import run_stage, stage_task
from tasks.reuse import ReusingStage
from tasks.stage import Folders, Metrics, Ref


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"clean": key_settings(recipe.clean), "languages": key_settings(recipe.languages)}


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    reused = STAGE.reused(recipe, folders)
    known = {target: reused[name] for target in recipe.languages.targets if (name := f"lexicon.{target}") in reused}
    with open_backend(recipe, workspace) as backend:
        return cleaning.clean(recipe.clean, recipe.languages, folders["download"], workspace, progress, known, backend)


STAGE = ReusingStage(
    "clean",
    5,
    ("download",),
    _settings,
    _work,
    packages=("ftfy", "py3langid", "pyarrow", "regex", "rensa"),
    memory="clean-lexicons",
    asked=lexicons.asked,
    choose=lexicons.choose,
)


@stage_task
def clean(recipe: Recipe, downloaded: Ref) -> Ref:
    """Normalise the pairs and drop the bad ones, each with the rule that dropped it."""
    publish = functools.partial(publish_funnel, examples=recipe.report.rejected_examples)
    return run_stage(STAGE, recipe, downloaded, publish=publish)
