"""The runs of a sweep: a recipe for each variant and seed, checked before anything starts."""

from __future__ import annotations

from collections.abc import Sequence

from mlctl.config import Recipe, parse
from mlctl.config.layers import Change
from mlctl.config.sweep import SweepDefinition
from mlctl.errors import InputError
from mlctl.pipeline.preflight import combine
from mlctl.pipeline.variant_runs import VariantRun
from mlctl.stage_names import StageName

#: The last stage of each run: reports are written for the runs that one wants to look at, by `mlctl run`.
LAST_STAGE: StageName = "evaluate"


def plan_runs(recipe: Recipe, definition: SweepDefinition, overrides: Sequence[str] = ()) -> list[VariantRun]:
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
    variants, seeds = definition.variants(recipe.name), definition.sweep.seeds
    for variant in variants:
        for seed in seeds:
            try:
                seeded = Change("train.seed", seed, definition.layer.origin_of(("seeds",)))
                recipes[variant.name, seed] = parse(values, changes=(*variant.changes, seeded))
            except InputError as error:
                problems += [InputError(line, error.remedy) for line in error.problem.split("\n  ")]
    if found := {str(problem): problem for problem in problems}:
        raise combine(list(found.values()))
    return [VariantRun(variant, seed, recipes[variant.name, seed], LAST_STAGE) for seed in seeds for variant in variants]
