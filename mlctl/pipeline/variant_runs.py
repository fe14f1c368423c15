"""Runs of variants of a recipe, each with a seed of training: what a sweep and a ledger consist of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mlctl.config import Recipe, yaml_text
from mlctl.config.sweep import Variant
from mlctl.pipeline.plan import plan
from mlctl.pipeline.preflight import combine, find_problems
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages import stages_until
from mlctl.stage_names import StageName


@dataclass(frozen=True)
class VariantRun:
    """One training of a variant: a run of the pipeline up to the stage `until`."""

    variant: Variant
    seed: int
    recipe: Recipe
    until: StageName

    @property
    def name(self) -> str:
        """Name for people."""
        return f"{self.variant.name}, seed {self.seed}"

    @property
    def overrides(self) -> list[str]:
        """What it changes of the recipe, as on the command line of `mlctl run`."""
        settings = {**self.variant.settings, "train.seed": self.seed}
        return [f"{name}={_as_yaml(value)}" for name, value in settings.items()]

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that it consists of."""
        return tuple(stage.name for stage in stages_until(self.until))


def check_runs(runs: Sequence[VariantRun], online: bool = True, later: Sequence[StageName] = ()) -> None:
    """Check that the variants have what they need from outside.

    Args:
        runs: of which those of the first seed are checked.
        online: whether servers are asked.
        later: stages whose checks are made as well: what is done with the runs needs the same.

    Raises:
        InputError: something is missing or unusable; the message lists all problems.
    """
    first = {run.variant.name: run for run in reversed(runs)}
    problems = [problem for run in first.values() for problem in find_problems(run.recipe, (*run.stages, *later), online)]
    if found := {str(problem): problem for problem in problems}:
        raise combine(list(found.values()))


def finished(run: VariantRun) -> Ref | None:
    """Return the last result of a run, if the store has it."""
    result = plan(run.recipe, run.until)[-1].result
    return Ref(stage=run.until, key=result.manifest.key, store=run.recipe.store) if result else None


def _as_yaml(value: object) -> str:
    """Return a value as in an override; text without quotes where it is read as text."""
    if isinstance(value, str) and yaml_text.parse(value, "value").values == value:
        return value
    return json.dumps(value, ensure_ascii=False)
