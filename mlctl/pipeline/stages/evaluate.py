"""evaluate: the base model and the trained model under the same harness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlctl.config import Recipe, key_settings
from mlctl.evaluation.mteb_runner import mteb_version
from mlctl.execution.registry import open_backend
from mlctl.modeling import model_sources
from mlctl.modeling.torch_import import import_torch
from mlctl.pipeline.stage import Metrics, Stage, StageContext
from mlctl.pipeline.warm_start import cache_guard
from storage import Store

if TYPE_CHECKING:
    from mlctl.evaluation import ScoreCache

#: Folder of the store with scores, shared by all runs: a run computes only those of new models, languages and tasks.
CACHE_FOLDER = "evaluate-parts"


def score_cache(recipe: Recipe) -> ScoreCache:
    """Return the cache of scores of the recipe's store."""
    from mlctl import evaluation

    return evaluation.ScoreCache(Store(recipe.store).root / CACHE_FOLDER, cache_guard(recipe, CACHE_FOLDER))


def benchmark_digests(recipe: Recipe) -> dict[str, str]:
    """Return digests of the data of the recipe's benchmarks."""
    if not recipe.evaluate.benchmarks:
        return {}
    from mlctl import evaluation

    return evaluation.digests(recipe.evaluate)


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"evaluate": key_settings(recipe.evaluate), "languages": key_settings(recipe.languages), "seed": recipe.seed}


def _outside(recipe: Recipe) -> dict[str, str]:
    digests = {what: model_sources.identity(recipe.model, what) for what in ("weights", "sentences")}
    version = {"mteb": mteb_version()} if recipe.evaluate.mteb else {}
    return {**digests, **version, **benchmark_digests(recipe)}


def _unused(recipe: Recipe) -> tuple[str, ...]:
    return () if recipe.evaluate.projects_labels else ("align",)


def _work(context: StageContext) -> Metrics:
    import_torch()
    from mlctl import evaluation

    recipe = context.recipe
    with open_backend(recipe, context.workspace) as backend:
        return evaluation.evaluate(
            recipe.evaluate,
            recipe.model,
            recipe.languages,
            recipe.seed,
            context.inputs["shard"],
            context.inputs["train"],
            context.workspace,
            context.progress,
            score_cache(recipe),
            backend=backend,
            aligned=context.inputs.get("align"),
        )


STAGE = Stage(
    name="evaluate",
    version=7,
    needs=("align", "shard", "train"),
    settings=_settings,
    work=_work,
    unused=_unused,
    outside=_outside,
    packages=("torch", "transformers"),
)
