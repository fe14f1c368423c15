"""align: which word of one side translates which of the other."""

from __future__ import annotations

from typing import Any

from mlctl import alignment
from mlctl.config import Recipe, key_settings
from mlctl.core.workspace import Progress, Workspace
from mlctl.execution.backend import open_backend
from storage import Result
from tasks import priors
from tasks.artifacts import publish_alignment, publish_funnel
from tasks.engine import run_stage, stage_task
from tasks.reuse import ReusingStage
from tasks.stage import Folders, Metrics, Ref


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"align": key_settings(recipe.align), "languages": key_settings(recipe.languages), "seed": recipe.seed}


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    reused = STAGE.reused(recipe, folders)
    models = {target: reused[name] for target in recipe.languages.targets if (name := f"priors.{target}") in reused}
    pairs = [folders["clean"], folders["translate"]]
    given = recipe.align, recipe.languages, recipe.seed, pairs
    with open_backend(recipe, workspace) as backend:
        return alignment.align(*given, workspace, progress, models, reused.get("encoder"), backend)


STAGE = ReusingStage(
    "align",
    8,
    ("clean", "translate"),
    _settings,
    _work,
    packages=("icu4py", "numba", "sacremoses", "sil-thot", "torch"),
    memory="align-priors",
    asked=priors.asked,
    choose=priors.choose,
)


@stage_task
def align(recipe: Recipe, cleaned: Ref, translated: Ref) -> Ref:
    """Link the words of every pair: train once a language, then align part by part."""

    def publish(result: Result) -> None:
        publish_alignment(result)
        publish_funnel(result, recipe.report.rejected_examples)

    return run_stage(STAGE, recipe, cleaned, translated, publish=publish)
