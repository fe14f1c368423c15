"""The pipeline, from text to a better encoder and a report. Also: `python -m flows.pipeline [RECIPE] [section.setting=value …]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Literal, cast, get_args

from prefect import flow
from prefect.states import Failed

from mlctl import crew, evaluation, sharding, training
from mlctl.config import Recipe
from mlctl.errors import InputError
from storage import StoreError
from tasks import diary, lexicons, priors
from tasks.align import align
from tasks.clean import clean
from tasks.download import download
from tasks.evaluate import evaluate
from tasks.licences import check_engines
from tasks.report import report
from tasks.shard import shard
from tasks.stage import Ref
from tasks.train import train
from tasks.translate import translate

StageName = Literal["download", "clean", "translate", "align", "shard", "train", "evaluate", "report"]


def stages(recipe: Recipe) -> Iterator[Ref]:
    """Run stage after stage, each when it is asked for, and yield the reference of its result."""
    yield (downloaded := download(recipe))
    yield (cleaned := clean(recipe, downloaded))
    yield (translated := translate(recipe, cleaned))
    yield (aligned := align(recipe, cleaned, translated))
    yield (sharded := shard(recipe, aligned))
    yield (trained := train(recipe, sharded))
    yield (evaluated := evaluate(recipe, sharded, trained))
    yield report(recipe, evaluated)


@flow(name="pipeline", persist_result=False)
def pipeline(recipe: Recipe, until: StageName = "report") -> Ref:
    """Turn text into a better encoder: every stage up to `until`, each cached in the recipe's store and resumable."""
    try:
        with diary.run("pipeline", recipe):
            _check(recipe, until)
            last = next(ref for ref in stages(recipe) if ref["stage"] == until)
    except (InputError, StoreError) as error:
        return cast("Ref", Failed(message=str(error), data=error))  # a message, no traceback
    return last


def _check(recipe: Recipe, until: StageName) -> None:
    """Look at what a late stage needs from outside before an early one has worked for hours."""
    names = get_args(StageName)
    if names.index(until) >= names.index("clean"):
        lexicons.check(recipe)
        crew.check(recipe)
    if names.index(until) >= names.index("translate"):
        check_engines(recipe)
    if names.index(until) >= names.index("align"):
        priors.check(recipe)
    if names.index(until) >= names.index("shard"):
        sharding.check(recipe.shard)
        evaluation.check(recipe.evaluate)  # its text is kept out of training
    if names.index(until) >= names.index("train"):
        training.check(recipe.train)


if __name__ == "__main__":
    from flows.cli import main

    sys.exit(main(["run", *(sys.argv[1:] or ["demo"])]))
