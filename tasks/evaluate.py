"""evaluate: the base model and the trained one under the same harness."""

from __future__ import annotations

from typing import Any

from mlctl import evaluation
from mlctl.config import Recipe, key_settings
from mlctl.modeling import sources
from mlctl.workspace import Progress, Workspace
from tasks.artifacts import publish_benchmark
from tasks.engine import run_stage, stage_task
from tasks.stage import Folders, Metrics, Ref, Stage


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"evaluate": key_settings(recipe.evaluate), "languages": key_settings(recipe.languages), "seed": recipe.seed}


def _outside(recipe: Recipe) -> dict[str, str]:
    return {"weights": sources.identity(recipe.model, "weights")}


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    settings, shards, trained = recipe.evaluate, folders["shard"], folders["train"]
    return evaluation.evaluate(settings, recipe.model, recipe.languages, recipe.seed, shards, trained, workspace, progress)


STAGE = Stage("evaluate", 1, ("shard", "train"), _settings, _work, _outside, packages=("torch", "transformers"))


@stage_task
def evaluate(recipe: Recipe, sharded: Ref, trained: Ref) -> Ref:
    """Measure both models on the held-out pairs of every language."""
    return run_stage(STAGE, recipe, sharded, trained, publish=publish_benchmark)
