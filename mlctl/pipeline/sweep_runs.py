"""The runs of a sweep: a recipe for each variant and seed, checked before anything starts, and what of them the store has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mlctl.config import Recipe, parse, yaml_text
from mlctl.config.layers import Change
from mlctl.config.sweep import SweepDefinition, Variant
from mlctl.errors import InputError
from mlctl.pipeline.plan import plan
from mlctl.pipeline.preflight import combine, find_problems
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages import stages_until
from mlctl.stage_names import StageName

#: The last stage of each run: reports are written for the runs that one wants to look at, by `mlctl run`.
LAST_STAGE: StageName = "evaluate"

STAGES = tuple(stage.name for stage in stages_until(LAST_STAGE))


@dataclass(frozen=True)
class SweepRun:
    """One training of a variant, from text to scores."""

    variant: Variant
    seed: int
    recipe: Recipe

    @property
    def name(self) -> str:
        """Name for people."""
        return f"{self.variant.name}, seed {self.seed}"

    @property
    def overrides(self) -> list[str]:
        """What it changes of the sweep's recipe, as on the command line of `mlctl run`."""
        settings = {**self.variant.settings, "train.seed": self.seed}
        return [f"{name}={_as_yaml(value)}" for name, value in settings.items()]


def plan_runs(recipe: Recipe, definition: SweepDefinition, overrides: Sequence[str] = ()) -> list[SweepRun]:
    """Return the runs: for each seed in turn all variants.

    Args:
        recipe: that the variants change.
        definition: of the sweep.
        overrides: of the command line, which are in the recipe.

    Raises:
        InputError: names, settings or values of the sweep are wrong; the message lists all problems.
    """
    problems = list(definition.problems(overrides))
    values, recipes = recipe.model_dump(mode="json"), dict[tuple[str, int], Recipe]()
    variants = definition.variants(recipe.name)
    for variant in variants:
        for seed in definition.sweep.seeds:
            try:
                seeded = Change("train.seed", seed, definition.layer.origin_of(("seeds",)))
                recipes[variant.name, seed] = parse(values, changes=(*variant.changes, seeded))
            except InputError as error:
                problems += [InputError(line, error.remedy) for line in error.problem.split("\n  ")]
    if found := {str(problem): problem for problem in problems}:
        raise combine(list(found.values()))
    return [SweepRun(variant, seed, recipes[variant.name, seed]) for seed in definition.sweep.seeds for variant in variants]


def check_runs(runs: Sequence[SweepRun], online: bool = True) -> None:
    """Check that the variants have what they need from outside.

    Raises:
        InputError: something is missing or unusable; the message lists all problems.
    """
    first = {run.variant.name: run.recipe for run in reversed(runs)}
    problems = [problem for recipe in first.values() for problem in find_problems(recipe, STAGES, online)]
    if found := {str(problem): problem for problem in problems}:
        raise combine(list(found.values()))


def finished(run: SweepRun) -> Ref | None:
    """Return the evaluate result of a run, if the store has it."""
    result = plan(run.recipe, LAST_STAGE)[-1].result
    return Ref(stage=LAST_STAGE, key=result.manifest.key, store=run.recipe.store) if result else None


def _as_yaml(value: object) -> str:
    """Return a value as in an override; text without quotes where it is read as text."""
    if isinstance(value, str) and yaml_text.parse(value, "value").values == value:
        return value
    return json.dumps(value, ensure_ascii=False)
