"""What a late stage needs from outside is looked at before an early one has worked for hours."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mlctl import evaluation, sharding, training
from mlctl.config import Recipe
from tasks import lexicons, priors
from tasks.licences import check_engines

_CHECKS: dict[str, Callable[[Recipe], None]] = {
    "clean": lexicons.check,
    "translate": check_engines,
    "align": priors.check,
    "shard": lambda recipe: sharding.check(recipe.shard),
    "train": lambda recipe: training.check(recipe.train),
    "evaluate": lambda recipe: evaluation.check(recipe.evaluate),
}


def check(recipe: Recipe, stages: Iterable[str]) -> None:
    """Look whether these stages can have what they need.

    Raises:
        InputError: one cannot.
    """
    for stage in stages:
        if stage in _CHECKS:
            _CHECKS[stage](recipe)
