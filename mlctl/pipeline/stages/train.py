"""train: the encoder learns by multi-level contrastive learning (ML-CTL, arXiv 2202.13083)."""

from __future__ import annotations

from typing import Any

from mlctl.config import Recipe, key_settings
from mlctl.modeling import model_sources
from mlctl.modeling.model_kind import model_kind
from mlctl.modeling.torch_import import import_torch
from mlctl.pipeline.stage import Metrics, Stage, StageContext


def _settings(recipe: Recipe) -> dict[str, Any]:
    scratch = None if recipe.model.name else key_settings(recipe.model.scratch)
    train = {name: value for name, value in key_settings(recipe.train).items() if name != "seed"}
    return {"train": train, "scratch": scratch, "seed": _seed(recipe)}


def _seed(recipe: Recipe) -> int:
    return recipe.seed if recipe.train.seed is None else recipe.train.seed


def _outside(recipe: Recipe) -> dict[str, str]:
    """Return digests of the models, and the kind of model: it decides about the settings that are null."""
    start = model_sources.start_model(recipe.model)
    digests = {
        "weights": model_sources.identity(recipe.model, "weights"),
        "sentences": model_sources.identity(recipe.model, "sentences"),  # decides about the pooling, and is part of the result
        "kind": model_kind(recipe.model),
    }
    if start:
        digests |= {
            "start": model_sources.identity(start, "weights", "model.start"),
            "start sentences": model_sources.identity(start, "sentences", "model.start"),
        }
    return digests


def _work(context: StageContext) -> Metrics:
    import_torch()
    from mlctl import training

    recipe = context.recipe
    return training.train(recipe.train, recipe.model, _seed(recipe), context.inputs["shard"], context.workspace, context.progress)


STAGE = Stage(
    name="train",
    version=8,
    needs=("shard",),
    settings=_settings,
    work=_work,
    outside=_outside,
    volatile=("speed.jsonl", "tensorboard/*"),
    packages=("torch", "transformers", "safetensors"),
)
