"""Re-training: a better encoder follows the champion when there is something new to learn from. Also: `mlctl retrain RECIPE`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.deployment_runs import Where
from flows.flow_run import recipe_flow
from flows.pipeline import pipeline
from flows.recipe_parameter import RecipeParameter
from mlctl.config import Recipe, resolve
from mlctl.core.interruption import take_signals
from mlctl.errors import InputError
from mlctl.pipeline import preflight, retraining, run_log
from mlctl.pipeline.champion import challenger_recipe, check_comparable, registry_of
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.store_session import use_store
from storage import StoreError
from storage.champion_registry import ChampionRegistry
from tasks.artifacts import publish_promotion
from tasks.challenge import challenge
from tasks.notifications import emit, post
from tasks.server_calls import calls

End = Literal["Nothing new", "Promoted", "Kept"]


@dataclass(frozen=True)
class Outcome:
    """How a re-training ended; `number` is that of the current champion."""

    end: End
    number: int
    reason: str


@recipe_flow("retrain")
def retrain(
    recipe: RecipeParameter = "demo",
    overrides: list[str] = [],  # noqa: B006 - a literal default is shown in the form
    where: Where = "here",
) -> dict[str, Any]:
    """Look for changed sources; with some, train a challenger and compare it with the champion; promote, publish and notify if it is better.

    Args:
        recipe: What to run; its section `retrain` says how it is decided, published and notified.
        overrides: Settings to change, one a line: retrain.tolerance=0.02.
        where: here: all stages in this process. deployments: training and evaluation as separate runs, on the GPU pool.
    """
    take_signals()
    try:
        loaded = resolve(recipe, overrides)
        with use_store(loaded), retraining.exclusive(loaded), run_log.recording_overrides(overrides):
            outcome = _retrain(loaded, where)
    except (InputError, StoreError) as error:
        return cast("dict[str, Any]", Failed(message=str(error), data=error))  # a message, no traceback
    finally:
        calls.end_run()
    summary = f"champion {outcome.number} of {registry_of(loaded).name}: {outcome.reason}"
    return cast("dict[str, Any]", Completed(name=outcome.end, message=summary, data=asdict(outcome)))


def _retrain(recipe: Recipe, where: Where) -> Outcome:
    preflight.check(recipe, [preflight.RETRAIN])
    registry = registry_of(recipe)
    state = registry.read()
    champion = state.champion
    changes = retraining.find_changes(recipe, state.seen)
    if champion and not changes.lines:
        retraining.finish(recipe, registry, post)  # what an earlier run could not publish or send
        return Outcome("Nothing new", champion.number, "no changes since the last check")
    check_comparable(recipe, champion)
    retraining.accept(changes)
    report = _run_pipeline(challenger_recipe(changes.recipe, champion), where)
    settlement = retraining.settle(changes.recipe, report, changes.seen(), challenge)
    _announce(recipe, registry, settlement)
    retraining.finish(recipe, registry, post)
    return Outcome("Promoted" if settlement.promoted else "Kept", settlement.champion.number, settlement.reason)


def _announce(recipe: Recipe, registry: ChampionRegistry, settlement: retraining.Settlement) -> None:
    """Show the comparison on the run's page and emit the event; receivers hear of a kept champion here, of a new one in `finish`."""
    if settlement.decision:
        publish_promotion(settlement.decision)
    event = "promoted" if settlement.promoted else "kept"
    message = retraining.message(registry, event, settlement.champion, settlement.reason)
    emit(registry.name, event, message)
    for receiver in () if settlement.promoted else recipe.retrain.notify:
        post(receiver, message)


def _run_pipeline(recipe: Recipe, where: Where) -> Ref:
    """Run the pipeline to its report."""
    state: State[Ref] = pipeline(recipe, where=where, return_state=True)
    if not state.is_completed():
        raise InputError(state.message or "the run did not complete")
    return state.result()
