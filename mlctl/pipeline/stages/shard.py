"""shard: aligned pairs become training rows of token ids and subword spans of aligned words."""

from __future__ import annotations

from typing import Any

from mlctl.config import Recipe, key_settings
from mlctl.execution.registry import open_backend
from mlctl.modeling import model_sources
from mlctl.pipeline.stage import Metrics, Stage, StageContext


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "shard": key_settings(recipe.shard),
        "languages": key_settings(recipe.languages),
        "seed": recipe.seed,
        "vocabulary": None if model_sources.tokenizer_model(recipe.model) else recipe.model.scratch.vocabulary,
    }


def _outside(recipe: Recipe) -> dict[str, str]:
    """Return digests of the tokenizer and of the text that is kept out of training: evaluation sets and benchmarks."""
    digests = {"tokenizer": model_sources.identity(recipe.model, "tokenizer")}
    if recipe.shard.decontaminate:
        from mlctl import sharding

        digests |= sharding.evaluation_set_digests(recipe.shard)
    if recipe.evaluate.benchmarks:
        from mlctl import evaluation

        digests |= {f"benchmark/{name}": digest for name, digest in evaluation.text_digests(recipe.evaluate).items()}
    return digests


def _work(context: StageContext) -> Metrics:
    from mlctl import evaluation, sharding

    recipe = context.recipe
    benchmarks = [
        sharding.EvaluationText(f"benchmark: {title}", title, languages, sentences)
        for title, languages, sentences in evaluation.benchmark_texts(recipe.evaluate)
    ]
    with open_backend(recipe, context.workspace) as backend:
        return sharding.shard(
            recipe.shard,
            recipe.model,
            recipe.languages,
            recipe.seed,
            context.inputs["align"],
            context.workspace,
            context.progress,
            benchmarks,
            backend,
        )


STAGE = Stage(
    name="shard",
    version=9,
    needs=("align",),
    settings=_settings,
    work=_work,
    outside=_outside,
    packages=("tokenizers", "pyarrow"),
)
