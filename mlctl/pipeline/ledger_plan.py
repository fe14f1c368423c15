"""What a ledger would compute: its runs, and its comparisons."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from mlctl.config import Recipe
from mlctl.pipeline.challenge import challenge_stage
from mlctl.pipeline.ledger_runs import FULL
from mlctl.pipeline.stage import Ref, lineage, lookup
from mlctl.pipeline.variant_plan import StageTotal, VariantPlan, plan_variants
from mlctl.pipeline.variant_runs import VariantRun, finished
from storage import Store

_CHALLENGE = "challenge"
_MAX_RESULTS = 25  # newest results that the time is the median of


def plan_ledger(recipe: Recipe, runs: Sequence[VariantRun]) -> VariantPlan:
    """Return what the runs of a ledger (`planned_runs`) and their comparisons would compute. Nothing is computed or fetched."""
    planned = plan_variants(runs)
    full = {run.seed: finished(run) for run in runs if run.variant.name == FULL}
    pairs = [(full[run.seed], finished(run)) for run in runs if run.variant.name != FULL]
    compared = [
        (with_it, without) for with_it, without in pairs if not (with_it and without and with_it["key"] == without["key"])
    ]
    cached = sum(bool(with_it and without and _is_cached(recipe, with_it, without)) for with_it, without in compared)
    seconds = _seconds(recipe)
    missing = len(compared) - cached
    total = StageTotal(_CHALLENGE, len(compared), cached, None if seconds is None else seconds * missing)
    return VariantPlan([*planned.stages, total], planned.variants)


def comparison(with_it: Ref, without: Ref) -> tuple[Mapping[str, Ref], tuple[Ref, Ref]]:
    """Return what `challenge_stage` compares with, and what it reads, of two train results: shard and train result of each.

    Args:
        with_it: of the full recipe.
        without: of the recipe without a component.
    """
    sharded, other = (_shards_of(ref) for ref in (with_it, without))
    return {"shard": other, "train": without}, (sharded, with_it)


def _shards_of(trained: Ref) -> Ref:
    return Ref(stage="shard", key=lineage(trained)["shard"].manifest.key, store=trained["store"])


def _is_cached(recipe: Recipe, with_it: Ref, without: Ref) -> bool:
    against, refs = comparison(with_it, without)
    _, result = lookup(challenge_stage(against), recipe, refs)
    return result is not None


def _seconds(recipe: Recipe) -> float | None:
    """Return the median time of the comparisons in the store; None: there are none."""
    measured: Iterable[float] = [result.manifest.seconds for result in Store(recipe.store).results(_CHALLENGE)[:_MAX_RESULTS]]
    return statistics.median(measured) if measured else None
