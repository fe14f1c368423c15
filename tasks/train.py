"""train: the encoder, by multi-level contrastive learning."""

from __future__ import annotations

from typing import Any

from mlctl import training
from mlctl.config import Recipe, key_settings
from mlctl.core.workspace import Progress, Workspace
from mlctl.modeling import model_sources
from tasks.artifacts import publish_training
from tasks.engine import run_stage, stage_task
from tasks.stage import Folders, Metrics, Ref, Stage


def _settings(recipe: Recipe) -> dict[str, Any]:
    scratch = None if recipe.model.name else key_settings(recipe.model.scratch)
    own = {name: value for name, value in key_settings(recipe.train).items() if name != "seed"}
    return {"train": own, "scratch": scratch, "seed": _seed(recipe)}


def _seed(recipe: Recipe) -> int:
    return recipe.seed if recipe.train.seed is None else recipe.train.seed


def _outside(recipe: Recipe) -> dict[str, str]:
    start = model_sources.start_model(recipe.model)
    return {"weights": model_sources.identity(recipe.model, "weights")} | (
        {"start": model_sources.identity(start, "weights")} if start else {}
    )


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    return training.train(recipe.train, recipe.model, _seed(recipe), folders["shard"], workspace, progress)


STAGE = Stage(
    "train",
    4,
    ("shard",),
    _settings,
    _work,
    _outside,
    volatile=("speed.jsonl", "tensorboard/*"),
    packages=("torch", "transformers", "safetensors"),
)


@stage_task
def train(recipe: Recipe, sharded: Ref) -> Ref:
    """Train the encoder on the shards."""
    return run_stage(STAGE, recipe, sharded, publish=publish_training)
