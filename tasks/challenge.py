"""challenge: a new encoder against the champion, under one harness, on held-out pairs that neither has learned."""

from __future__ import annotations

import functools
from typing import Any

from mlctl import evaluation, sharding
from mlctl.config import Recipe, key_settings
from mlctl.core.workspace import Progress, Workspace
from tasks.artifacts import publish_benchmark
from tasks.engine import run_stage, stage_task
from tasks.evaluate import parts_of
from tasks.stage import Folders, Metrics, Ref, Stage, result_of

_PAIRS = "unseen"


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {"evaluate": key_settings(_asked(recipe)), "languages": key_settings(recipe.languages), "seed": recipe.seed}


def _asked(recipe: Recipe) -> Any:
    return recipe.evaluate.model_copy(update={"embedding_map_sentences": 0})  # nobody looks at this map


def _outside(champion: dict[str, Ref], recipe: Recipe) -> dict[str, str]:
    digests = {f"champion.{stage}": result_of(ref).manifest.content for stage, ref in champion.items()}
    return {**digests, **evaluation.digests(recipe.evaluate)}


def _work(champion: dict[str, Ref], recipe: Recipe, folders: Folders, workspace: Workspace, progress: Progress) -> Metrics:
    places = {stage: result_of(ref).folder for stage, ref in champion.items()}
    pairs = Workspace(workspace.path(_PAIRS))
    left = sharding.unseen(folders["shard"], places["shard"], recipe.languages.targets, pairs)
    metrics = evaluation.evaluate(
        _asked(recipe),
        recipe.model,
        recipe.languages,
        recipe.seed,
        pairs.root,
        folders["train"],
        workspace,
        progress,
        parts_of(recipe),
        base_encoder=places["train"] / "model",
    )
    return {**metrics, **{f"{target}.learned_by_champion": number for target, number in left.items()}}


@stage_task
def challenge(recipe: Recipe, sharded: Ref, trained: Ref, champion: dict[str, Ref]) -> Ref:
    """Judge the challenger as `trained` against the champion as `base`; `champion` has its shard and train results."""
    stage = Stage(
        "challenge",
        1,
        ("shard", "train"),
        _settings,
        functools.partial(_work, champion),
        functools.partial(_outside, champion),
        packages=("torch", "transformers"),
    )
    return run_stage(stage, recipe, sharded, trained, publish=publish_benchmark)
