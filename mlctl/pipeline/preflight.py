"""Checks of everything that late stages need from outside, before an early stage has worked for hours."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mlctl.config import Recipe
from mlctl.execution.registry import check_backend
from mlctl.pipeline import align_warm_start, clean_warm_start
from mlctl.pipeline.licence_check import check_translation_licence


def _check_evaluation_sets(recipe: Recipe) -> None:
    from mlctl import sharding

    sharding.check(recipe.shard)


def _check_trackers(recipe: Recipe) -> None:
    from mlctl import training

    training.check(recipe.train)


def _check_benchmarks(recipe: Recipe) -> None:
    from mlctl import evaluation

    evaluation.check(recipe.evaluate)


def _check_sentence_modules(recipe: Recipe) -> None:
    from mlctl.modeling import model_sources
    from mlctl.modeling.sentence_config import read_sentence_config

    start = model_sources.start_model(recipe.model) or recipe.model
    if recipe.train.layers == "auto" and start.name:
        read_sentence_config(model_sources.resolve(start))


_CHECKS: dict[str, tuple[Callable[[Recipe], None], ...]] = {
    "clean": (clean_warm_start.check, check_backend),
    "translate": (check_translation_licence,),
    "align": (align_warm_start.check,),
    "shard": (_check_evaluation_sets, _check_benchmarks),  # the benchmarks' text is kept out of training
    "train": (_check_trackers, _check_sentence_modules),
    "evaluate": (_check_benchmarks,),
}


def check(recipe: Recipe, stages: Iterable[str]) -> None:
    """Check that these stages have what they need from outside.

    Raises:
        InputError: something is missing or unusable.
    """
    for stage in stages:
        for check_stage in _CHECKS.get(stage, ()):
            check_stage(recipe)
