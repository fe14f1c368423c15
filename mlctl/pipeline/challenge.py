"""challenge: a challenger against the champion, under one harness, on held-out pairs that neither was trained on.

In a ledger the model of the full recipe challenges that of the recipe without a component.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from mlctl.config import Evaluate, Recipe, key_settings
from mlctl.execution.registry import open_backend
from mlctl.pipeline.stage import Metrics, Ref, Stage, StageContext, listed_files, result_of
from mlctl.pipeline.stages.evaluate import benchmark_digests, score_cache

_PAIRS = "unseen"


def challenge_stage(champion: Mapping[str, Ref]) -> Stage:
    """Return the stage that evaluates the challenger as `trained` against the champion as `base`.

    Args:
        champion: references of the champion's shard and train results, by stage.
    """
    return Stage(
        name="challenge",
        version=3,
        needs=("shard", "train"),
        settings=_settings,
        work=functools.partial(_work, champion),
        outside=functools.partial(_outside, champion),
        packages=("torch", "transformers"),
    )


#: Settings of benchmarks that add tasks at which a promotion does not look.
_BENCHMARK_DEFAULTS: dict[str, Any] = {"translate_train": None, "protocols": ()}


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"evaluate": key_settings(_evaluate(recipe)), "languages": key_settings(recipe.languages), "seed": recipe.seed}


def _evaluate(recipe: Recipe) -> Evaluate:
    """Return the settings without what a promotion does not look at: the map, what changed, the mode translate-train, and further protocols."""
    zero_shot = tuple(
        entry.model_copy(update={name: value for name, value in _BENCHMARK_DEFAULTS.items() if name in type(entry).model_fields})
        for entry in recipe.evaluate.benchmarks
    )
    left_out = {"embedding_map_sentences": 0, "changed_items": 0, "mteb": ()}
    return recipe.evaluate.model_copy(update={**left_out, "benchmarks": zero_shot})


def _outside(champion: Mapping[str, Ref], recipe: Recipe) -> dict[str, str]:
    digests = {f"champion.{stage}": result_of(ref).manifest.content for stage, ref in champion.items()}
    return {**digests, **benchmark_digests(recipe)}


def _work(champion: Mapping[str, Ref], context: StageContext) -> Metrics:
    from mlctl import evaluation, sharding

    recipe = context.recipe
    of_champion = {stage: listed_files(result_of(ref), context.workspace, f"champion/{stage}") for stage, ref in champion.items()}
    learned = sharding.write_unseen_heldout(
        context.inputs["shard"], of_champion["shard"], recipe.languages.targets, context.workspace, _PAIRS
    )
    with open_backend(recipe, context.workspace) as backend:
        metrics = evaluation.evaluate(
            _evaluate(recipe),
            recipe.model,
            recipe.languages,
            recipe.seed,
            context.workspace.path(_PAIRS),
            context.inputs["train"],
            context.workspace,
            context.progress,
            score_cache(recipe),
            base_encoder=of_champion["train"] / "model",
            backend=backend,
        )
    return {**metrics, **{f"{target}.learned_by_champion": number for target, number in learned.items()}}
