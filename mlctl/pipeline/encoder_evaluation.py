"""Evaluation of any encoders on a recipe's benchmarks, without training: `mlctl evaluate MODEL…`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mlctl.config import Model, Recipe, key_settings
from mlctl.core.workspace import Progress, silent
from mlctl.evaluation.mteb_runner import mteb_version
from mlctl.execution.registry import open_backend
from mlctl.modeling import model_sources
from mlctl.pipeline import run_log
from mlctl.pipeline.stage import Metrics, Stage, StageContext, make, result_of
from mlctl.pipeline.stages.evaluate import benchmark_digests, score_cache
from storage import Result

#: Folder of the store with the evaluations of single encoders.
NAME = "evaluate-encoder"


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"evaluate": key_settings(recipe.evaluate), "seed": recipe.seed}


def _outside(recipe: Recipe) -> dict[str, str]:
    parts: tuple[model_sources.Part, ...] = ("weights", "tokenizer", "sentences")
    digests: dict[str, str] = {part: model_sources.identity(recipe.model, part) for part in parts}
    version = {"mteb": mteb_version(), "name": recipe.model.name} if recipe.evaluate.mteb else {}
    return {**digests, **version, **benchmark_digests(recipe)}


def _work(context: StageContext) -> Metrics:
    from mlctl.evaluation.single_encoder import evaluate_encoder

    recipe = context.recipe
    with open_backend(recipe, context.workspace) as backend:
        return evaluate_encoder(
            recipe.evaluate, recipe.model, recipe.seed, context.workspace, context.progress, score_cache(recipe), backend
        )


STAGE = Stage(
    name=NAME, version=1, needs=(), settings=_settings, work=_work, outside=_outside, packages=("torch", "transformers")
)


def evaluate_models(
    recipe: Recipe,
    models: Sequence[str],
    languages: Sequence[str] = (),
    progress_of: Callable[[str], Progress] = lambda _: silent,
) -> list[Result]:
    """Evaluate encoders on a recipe's benchmarks and return their results, in order; what the store has is not computed again.

    Each encoder is a run in the store's run log. All are looked for before the first is evaluated.

    Args:
        recipe: its store, its benchmarks and how they are run.
        models: folders and names on the hub.
        languages: canonical tags of those that benchmarks are evaluated in; empty: as the recipe says.
        progress_of: returns what shows the progress of an encoder.

    Raises:
        InputError: there is no such encoder, its sentence vectors cannot be reproduced, or the data of a benchmark are missing.
    """
    from mlctl import evaluation
    from mlctl.evaluation.single_encoder import benchmark_settings, check_encoder

    evaluation.check(recipe.evaluate)
    settings = benchmark_settings(recipe.evaluate, languages)
    allow_pickle = recipe.model.allow_pickle
    named = [Model(name=_absolute(name), allow_pickle=allow_pickle) for name in models]
    recipes = [recipe.model_copy(update={"evaluate": settings, "model": model}) for model in named]
    for one in recipes:
        check_encoder(one.evaluate, one.model)
    return [_evaluate(one, progress_of(name)) for one, name in zip(recipes, models, strict=True)]


def _evaluate(recipe: Recipe, progress: Progress) -> Result:
    with run_log.record_run("evaluate", recipe):
        ref, _ = make(STAGE, recipe, (), progress)
    return result_of(ref)


def _absolute(name: str) -> str:
    """Return the path of a folder, which the run log keeps, or the name on the hub."""
    folder = Path(name).expanduser()
    return str(folder.absolute()) if folder.is_dir() else name
