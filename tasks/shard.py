"""shard: training rows of token ids and aligned word spans."""

from __future__ import annotations

import functools
from typing import Any

from mlctl import evaluation, sharding
from mlctl.config import Recipe, key_settings
from mlctl.core.workspace import Progress, Workspace
from mlctl.modeling import model_sources
from tasks.artifacts import publish_funnel
from tasks.engine import run_stage, stage_task
from tasks.stage import Folders, Metrics, Ref, Stage


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "shard": key_settings(recipe.shard),
        "languages": key_settings(recipe.languages),
        "seed": recipe.seed,
        "vocabulary": None if model_sources.tokenizer_model(recipe.model) else recipe.model.scratch.vocabulary,
    }


def _outside(recipe: Recipe) -> dict[str, str]:
    """Return digests of all that comes from outside: text of benchmarks in it, which is kept out of training."""
    benchmarks = {f"benchmark/{name}": digest for name, digest in evaluation.text_digests(recipe.evaluate).items()}
    return {"tokenizer": model_sources.identity(recipe.model, "tokenizer"), **sharding.digests(recipe.shard), **benchmarks}


def _work(recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    benchmarks = [
        sharding.Unseen(f"benchmark: {title}", title, languages, sentences)
        for title, languages, sentences in evaluation.benchmark_texts(recipe.evaluate)
    ]
    return sharding.shard(
        recipe.shard, recipe.model, recipe.languages, recipe.seed, folders["align"], workspace, progress, benchmarks
    )


STAGE = Stage("shard", 4, ("align",), _settings, _work, _outside, packages=("tokenizers", "pyarrow"))


@stage_task
def shard(recipe: Recipe, aligned: Ref) -> Ref:
    """Write the training rows, with the held-out pairs kept apart."""
    publish = functools.partial(publish_funnel, examples=recipe.report.rejected_examples)
    return run_stage(STAGE, recipe, aligned, publish=publish)
