"""What would run and why, without running anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlctl.config import Recipe
from mlctl.core.hashing import key_of
from mlctl.errors import InputError
from mlctl.pipeline.recipe_models import is_local
from mlctl.pipeline.stage import Stage
from mlctl.pipeline.stages import stages_until
from mlctl.stage_names import StageName, stage_name
from storage import Result, Store
from storage.store import differences


@dataclass(frozen=True)
class StagePlan:
    """One stage in the store's present state.

    Attributes:
        stage: its name.
        parts: parts of its key; None while an input is not made yet.
        result: its result; None: it would run.
        waits_for: upstream stages whose results are not made yet.
        problem: why its key is not known: something that the recipe names is missing.
        undownloaded: its key is not known because a model that it reads is not on this machine yet.
    """

    stage: str
    parts: dict[str, Any] | None
    result: Result | None
    waits_for: tuple[str, ...] = ()
    problem: InputError | None = None
    undownloaded: bool = False

    @property
    def key(self) -> str:
        """The key, empty while an input is not made yet."""
        return key_of(self.parts) if self.parts else ""


@dataclass(frozen=True)
class Explanation:
    """Why a stage would run: the nearest earlier result and (path, earlier value, present value) of each part of the key that differs."""

    plan: StagePlan
    nearest: Result | None
    differences: list[tuple[str, Any, Any]]


def plan(recipe: Recipe, until: StageName = "report", *, fetch: bool = False) -> list[StagePlan]:
    """Return the plan of every stage up to `until`, in order; `fetch`: models are downloaded where a key needs their digests."""
    store, plans = Store(recipe.store), dict[str, StagePlan]()
    for stage in stages_until(until):
        plans[stage.name] = _plan(stage, recipe, store, plans, fetch)
    return list(plans.values())


def explain(recipe: Recipe, stage: str) -> Explanation:
    """Return why a stage would run.

    Raises:
        InputError: no stage has that name.
    """
    planned = plan(recipe, until=stage_name(stage))[-1]
    if planned.problem:
        raise planned.problem
    if planned.parts is None or planned.result is not None:
        return Explanation(planned, planned.result, [])
    nearest = Store(recipe.store).nearest(stage, planned.parts)
    return Explanation(planned, nearest, differences(nearest.manifest.parts, planned.parts) if nearest else [])


def _plan(stage: Stage, recipe: Recipe, store: Store, plans: dict[str, StagePlan], fetch: bool) -> StagePlan:
    missing = tuple(name for name in stage.inputs(recipe) if plans[name].result is None)
    if missing:
        return StagePlan(stage.name, None, None, missing)
    inputs = {name: result for name in stage.inputs(recipe) if (result := plans[name].result)}
    if not fetch and not is_local(recipe, stage.name):
        return StagePlan(stage.name, None, None, undownloaded=True)
    try:
        parts = stage.request(recipe, inputs).parts
    except InputError as error:
        return StagePlan(stage.name, None, None, problem=error)
    return StagePlan(stage.name, parts, store.find(stage.name, key_of(parts)))
