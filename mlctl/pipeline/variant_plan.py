"""What runs of variants would compute: the results of each stage that they share or have for themselves, cached or not, with estimated times."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlctl.config import Section, key_settings
from mlctl.pipeline.cost_estimate import Estimate, estimate
from mlctl.pipeline.variant_runs import VariantRun

_SHARED = ("seed", "languages", "licences", "model")  # sections that every stage may read


@dataclass(frozen=True)
class StageTotal:
    """The results of one stage over all runs.

    Attributes:
        stage: its name.
        results: number of different results.
        cached: how many of them the store has.
        seconds: estimated time of the others, one after another; None: nothing like them was measured.
    """

    stage: str
    results: int
    cached: int
    seconds: float | None


@dataclass(frozen=True)
class VariantPlan:
    """What runs of variants would compute: totals by stage, and for each variant its finished runs and all of them."""

    stages: Sequence[StageTotal]
    variants: dict[str, tuple[int, int]]


def plan_variants(runs: Sequence[VariantRun]) -> VariantPlan:
    """Return what the runs would compute. Nothing is computed or fetched."""
    found: dict[str, dict[str, Estimate]] = {}
    variants: dict[str, tuple[int, int]] = {}
    for run in runs:
        estimates = [entry for entry in estimate(run.recipe, online=False).stages if entry.plan.stage in run.stages]
        for entry, settings in zip(estimates, _settings(run), strict=True):
            found.setdefault(entry.plan.stage, {}).setdefault(entry.plan.key or settings, entry)
        finished, count = variants.get(run.variant.name, (0, 0))
        variants[run.variant.name] = (finished + bool(estimates[-1].plan.result), count + 1)
    return VariantPlan([_total(stage, list(entries.values())) for stage, entries in found.items()], variants)


def _settings(run: VariantRun) -> Iterator[str]:
    """Yield for each stage the settings of it and of all before it: equal ones stand for one result while its key is not known."""
    recipe = run.recipe
    values = {name: _plain(getattr(recipe, name)) for name in _SHARED}
    for stage in run.stages:
        values[stage] = _plain(getattr(recipe, stage))
        yield json.dumps({**values, "model": recipe.model.model_dump(mode="json")}, sort_keys=True, default=str)


def _plain(value: object) -> object:
    return key_settings(value) if isinstance(value, Section) else value


def _total(stage: str, entries: Sequence[Estimate]) -> StageTotal:
    missing = [entry.seconds for entry in entries if entry.plan.result is None]
    known = [seconds for seconds in missing if seconds is not None]
    return StageTotal(stage, len(entries), len(entries) - len(missing), sum(known) if len(known) == len(missing) else None)
