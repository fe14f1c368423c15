"""A ledger: the full recipe against the recipe without each source, language or filter, and what each is worth. Also: `mlctl ledger RECIPE`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

from prefect.context import FlowRunContext

from flows.flow_run import finished, recipe_flow, run_comparison
from flows.recipe_parameter import RecipeParameter, name_of
from flows.variant_runs import CompletedRuns
from mlctl.config import Recipe
from mlctl.core.long_values import cut_long_values
from mlctl.errors import InputError
from mlctl.pipeline.ledger import LeftOut, ledger_stage
from mlctl.pipeline.ledger_components import Component
from mlctl.pipeline.ledger_plan import comparison
from mlctl.pipeline.ledger_runs import COMPARED_BY, LedgerRequest, full_runs, known_text, leave_one_out_runs, planned_runs
from mlctl.pipeline.stage import Ref, make, result_of
from mlctl.pipeline.variant_runs import VariantRun, check_runs
from storage import StoreError
from tasks.artifacts import publish_ledger
from tasks.challenge import challenge

logger = logging.getLogger("mlctl.stages")

_REMEDY = "fix the cause, or name other components, and run the same command again: finished runs are cached"


def _run_name() -> str:
    parameters: dict[str, Any] = cast("FlowRunContext", FlowRunContext.get()).parameters or {}
    recipe = name_of(parameters.get("recipe"), parameters.get("overrides", ()))
    return f"ledger of {cut_long_values(recipe)}, {datetime.now():%d %b %H:%M}"


@recipe_flow("ledger", _run_name)
def ledger(
    recipe: RecipeParameter = "demo",
    overrides: list[str] = [],  # noqa: B006 - a literal default is shown in the form
    kinds: list[Literal["source", "language", "filter"]] = [],  # noqa: B006
    only: list[str] = [],  # noqa: B006
    seeds: int = 3,
    parallel: int = 1,
) -> Ref:
    """Train a recipe without each of its components and say what each is worth: runs of the pipeline; what the store has is not computed again.

    Args:
        recipe: The full recipe: its name, a YAML file, or all settings.
        overrides: Settings to change in all runs, one a line: train.steps=200.
        kinds: Components that are left out one by one; none: sources and languages.
        only: Names of components; none: all of these kinds.
        seeds: Number of trainings of each recipe.
        parallel: Runs at the same time.
    """

    def prepare(loaded: Recipe) -> Callable[[], tuple[Ref, str]]:
        request = LedgerRequest(tuple(kinds), tuple(only), seeds)
        request.check(overrides)
        return _Ledger(loaded, request, parallel, overrides).run

    return run_comparison("ledger", recipe, overrides, prepare)


@dataclass
class _Ledger:
    """The work of the flow."""

    recipe: Recipe
    request: LedgerRequest
    parallel: int
    overrides: Sequence[str]
    state: CompletedRuns = field(default_factory=CompletedRuns)

    def run(self) -> tuple[Ref, str]:
        """Run what is not in the store, compare, and write the ledger. Return the ledger and a summary.

        Raises:
            InputError: runs have failed; the ledger has the others.
        """
        check_runs(planned_runs(self.recipe, self.request), later=COMPARED_BY)
        full = self._trained(full_runs(self.recipe, self.request.seeds))
        if not full:
            raise self.state.failure(_REMEDY) or InputError("no training of the full recipe was finished")
        first = next(iter(full.values()))
        components = self.request.components(self.recipe, known_text(self.recipe, first))
        runs = leave_one_out_runs(self.recipe, components, self.request.seeds, first)
        without = self._trained_by_variant(runs)
        left_out = [self._left_out(component, full, without.get(component.without.name, {})) for component in components]
        ref, existed = make(ledger_stage(full, left_out), self.recipe, ())
        publish_ledger(self.recipe.store, result_of(ref))
        finished.append(ref)
        if failure := self.state.failure(_REMEDY):
            raise failure
        return ref, self._summary(len(full) + len(runs), existed)

    def _trained(self, runs: Sequence[VariantRun]) -> dict[int, Ref]:
        """Complete runs of one variant; return their train results by seed."""
        self.state.complete(runs, self.parallel, self.overrides, "ledger")
        return {run.seed: self.state.refs[run.name] for run in runs if run.name in self.state.refs}

    def _trained_by_variant(self, runs: Sequence[VariantRun]) -> dict[str, dict[int, Ref]]:
        self.state.complete(runs, self.parallel, self.overrides, "ledger")
        found: dict[str, dict[int, Ref]] = {}
        for run in runs:
            if ref := self.state.refs.get(run.name):
                found.setdefault(run.variant.name, {})[run.seed] = ref
        return found

    def _left_out(self, component: Component, full: Mapping[int, Ref], trained: Mapping[int, Ref]) -> LeftOut:
        """Compare the trainings of the full recipe with those without a component."""
        compared = dict[int, Ref]()
        for seed, with_it in full.items():
            without = trained.get(seed)
            if without and without["key"] != with_it["key"] and (ref := self._challenge(component, seed, with_it, without)):
                compared[seed] = ref
        failed = [seed for seed in range(self.request.seeds) if f"{component.without.name}, seed {seed}" in self.state.errors]
        return LeftOut(component, trained, compared, failed)

    def _challenge(self, component: Component, seed: int, with_it: Ref, without: Ref) -> Ref | None:
        against, refs = comparison(with_it, without)
        try:
            ref: Ref = challenge(self.recipe, *refs, dict(against))
        except (InputError, StoreError) as error:
            self.state.errors[f"{component.without.name}, seed {seed}"] = f"comparison: {error}"
            logger.error("ledger: %s, seed %d: the comparison failed: %s", component.without.name, seed, error)
            return None
        return ref

    def _summary(self, runs: int, existed: bool) -> str:
        nothing = "; nothing was computed" if self.state.cached == runs and existed else ""
        counted = f"{runs} run{'' if runs == 1 else 's'}"
        return f"{counted}: {runs - self.state.cached} computed, {self.state.cached} cached{nothing}"
