"""What a late stage needs from outside is looked at before an early one has worked for hours."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mlctl import evaluation, sharding, training
from mlctl.config import Recipe
from mlctl.execution import backend
from tasks import lexicons, priors
from tasks.licences import check_engines


def _benchmarks(recipe: Recipe) -> None:
    evaluation.check(recipe.evaluate)


_CHECKS: dict[str, tuple[Callable[[Recipe], None], ...]] = {
    "clean": (lexicons.check, backend.check_backend),
    "translate": (check_engines,),
    "align": (priors.check,),
    "shard": (lambda recipe: sharding.check(recipe.shard), _benchmarks),  # their text is kept out of training
    "train": (lambda recipe: training.check(recipe.train),),
    "evaluate": (_benchmarks,),
}


def check(recipe: Recipe, stages: Iterable[str]) -> None:
    """Look whether these stages can have what they need.

    Raises:
        InputError: one cannot.
    """
    for stage in stages:
        for look in _CHECKS.get(stage, ()):
            look(recipe)
