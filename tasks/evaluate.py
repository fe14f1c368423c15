"""evaluate: the base model and the trained one under the same harness."""

from __future__ import annotations

from typing import Any

from mlctl import evaluation
from mlctl.config import Recipe, key_settings
from mlctl.core.workspace import Progress, Workspace
from mlctl.modeling import model_sources
from storage import Store
from tasks.artifacts import publish_benchmark
from tasks.engine import run_stage, stage_task
from tasks.reuse import guard_of
from tasks.stage import Folders, Metrics, Ref, Stage

#: Folder of the store with scores that outlive the run: of a new language alone is computed what another run did not.
MEMORY = "evaluate-parts"


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"evaluate": key_settings(recipe.evaluate), "languages": key_settings(recipe.languages), "seed": recipe.seed}


def _outside(recipe: Recipe) -> dict[str, str]:
    return {"weights": model_sources.identity(recipe.model, "weights"), **evaluation.digests(recipe.evaluate)}


def parts_of(recipe: Recipe) -> evaluation.ScoreCache:
    """Return the scores that outlive runs, shared by all runs of the recipe's store."""
    return evaluation.ScoreCache(Store(recipe.store).root / MEMORY, guard_of(recipe, MEMORY))


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    settings, shards, trained = recipe.evaluate, folders["shard"], folders["train"]
    parts = parts_of(recipe)
    return evaluation.evaluate(settings, recipe.model, recipe.languages, recipe.seed, shards, trained, workspace, progress, parts)


STAGE = Stage("evaluate", 2, ("shard", "train"), _settings, _work, _outside, packages=("torch", "transformers"))


@stage_task
def evaluate(recipe: Recipe, sharded: Ref, trained: Ref) -> Ref:
    """Measure both models on the held-out pairs of every language and on the recipe's benchmarks."""
    return run_stage(STAGE, recipe, sharded, trained, publish=publish_benchmark)
