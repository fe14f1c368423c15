"""What would run and why, told without running anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlctl.config import Recipe
from mlctl.errors import InputError
from storage import Result, Store, key_of
from storage.store import differences
from tasks import align, clean, download, evaluate, report, shard, train, translate
from tasks.stage import Stage

STAGES: dict[str, Stage] = {
    module.STAGE.name: module.STAGE for module in (download, clean, translate, align, shard, train, evaluate, report)
}


@dataclass(frozen=True)
class Plan:
    """One stage as the store stands: `result` if cached; `parts` unless what it reads is not made yet (`waits_for`)."""

    stage: str
    parts: dict[str, Any] | None
    result: Result | None
    waits_for: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key, empty while an input is not made yet."""
        return key_of(self.parts) if self.parts else ""


def plan(recipe: Recipe, until: str = "report") -> list[Plan]:
    """Return the plan of every stage up to `until`, in order."""
    store, plans = Store(recipe.store), dict[str, Plan]()
    for stage in STAGES.values():
        plans[stage.name] = _plan(stage, recipe, store, plans)
        if stage.name == until:
            break
    return list(plans.values())


def explain(recipe: Recipe, stage: str) -> tuple[Plan, Result | None, list[tuple[str, Any, Any]]]:
    """Return a stage's plan, the nearest earlier result, and what differs in the key: (path, earlier, now) each.

    Raises:
        InputError: there is no such stage.
    """
    if stage not in STAGES:
        raise InputError(f"no stage {stage!r}", f"the stages are {', '.join(STAGES)}")
    last = plan(recipe, until=stage)[-1]
    if last.parts is None or last.result is not None:
        return last, last.result, []
    nearest = Store(recipe.store).nearest(stage, last.parts)
    return last, nearest, differences(nearest.manifest.parts, last.parts) if nearest else []


def _plan(stage: Stage, recipe: Recipe, store: Store, plans: dict[str, Plan]) -> Plan:
    missing = tuple(name for name in stage.needs if plans[name].result is None)
    if missing:
        return Plan(stage.name, None, None, missing)
    inputs = {name: result for name in stage.needs if (result := plans[name].result)}
    parts = stage.parts(recipe, inputs)
    return Plan(stage.name, parts, store.find(stage.name, key_of(parts)))
