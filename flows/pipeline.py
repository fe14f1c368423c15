"""The pipeline, from text to a better encoder and a report. Also: `python -m flows.pipeline [RECIPE] [section.setting=value …]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Literal, get_args

from prefect import flow

from flows.runs import carry_out, run_name
from flows.triggering import Where, at, cancel_children
from mlctl.config import Recipe
from tasks.align import align
from tasks.clean import clean
from tasks.download import download
from tasks.evaluate import evaluate
from tasks.report import report
from tasks.shard import shard
from tasks.stage import Ref
from tasks.train import train
from tasks.translate import translate

StageName = Literal["download", "clean", "translate", "align", "shard", "train", "evaluate", "report"]


def stages(recipe: Recipe, where: Where = "here") -> Iterator[Ref]:
    """Run stage after stage, each when it is asked for, and yield the reference of its result."""
    yield (downloaded := download(recipe))
    yield (cleaned := clean(recipe, downloaded))
    yield (translated := translate(recipe, cleaned))
    yield (aligned := align(recipe, cleaned, translated))
    yield (sharded := shard(recipe, aligned))
    yield (trained := at(where, train)(recipe, sharded))
    yield (evaluated := at(where, evaluate)(recipe, sharded, trained))
    yield report(recipe, evaluated)


@flow(name="pipeline", flow_run_name=run_name, persist_result=False, on_cancellation=[cancel_children])
def pipeline(recipe: Recipe, until: StageName = "report", where: Where = "here") -> Ref:
    """Turn text into a better encoder: every stage up to `until`, each cached in the recipe's store and resumable.

    Args:
        recipe: What to run: languages, text, model, training, judging, and the store of the results.
        until: The last stage to run.
        where: here: all stages in this process. deployments: training and judging as runs of `train/train` and
            `evaluate/evaluate`, on the GPU pool.
    """
    names = get_args(StageName)[: get_args(StageName).index(until) + 1]
    return carry_out("pipeline", recipe, names, lambda: next(r for r in stages(recipe, where) if r["stage"] == until))


if __name__ == "__main__":
    from flows.cli import main

    sys.exit(main(["run", *(sys.argv[1:] or ["demo"])]))
