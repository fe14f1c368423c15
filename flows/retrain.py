"""Re-training: an encoder is followed by a better one when there is something new to learn from. Also: `mlctl retrain RECIPE`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.pipeline import pipeline
from flows.runs import run_name
from flows.triggering import Where
from mlctl.config import Recipe
from mlctl.errors import InputError
from storage import StoreError
from tasks import champions, retraining
from tasks.notify import emit
from tasks.stage import Ref

End = Literal["Nothing new", "Promoted", "Kept"]


@dataclass(frozen=True)
class Outcome:
    """How a re-training ended: `number` is that of the champion that counts now."""

    end: End
    number: int
    why: str


@flow(name="retrain", flow_run_name=run_name, persist_result=False)
def retrain(recipe: Recipe, where: Where = "here") -> dict[str, Any]:
    """Look for news; with some, train a challenger and judge it against the champion; promote, publish and tell if it is better.

    Args:
        recipe: What to run, and in its section `retrain` how it is decided, published and told.
        where: here: all stages in this process. deployments: training and judging as runs of their own, on the GPU pool.
    """
    try:
        with retraining.alone(recipe):
            outcome = _retrain(recipe, where)
    except (InputError, StoreError) as error:
        return cast("dict[str, Any]", Failed(message=str(error), data=error))  # a message, no traceback
    said = f"champion {outcome.number} of {champions.book(recipe).name}: {outcome.why}"
    return cast("dict[str, Any]", Completed(name=outcome.end, message=said, data=asdict(outcome)))


def _retrain(recipe: Recipe, where: Where) -> Outcome:
    registry = champions.book(recipe)
    standing = registry.read()
    champion = standing.champion
    news = retraining.look(recipe, standing.seen)
    if champion and not news.lines:
        retraining.finish(recipe, registry)  # what a run before was kept from
        return Outcome("Nothing new", champion.number, "nothing new since the last look")
    champions.check(recipe, champion)
    retraining.take(news)
    reported = _run(champions.follow(news.recipe, champion), where)
    champion, promoted, why = retraining.settle(news.recipe, reported, news.seen())
    if promoted:
        emit(registry.name, "promoted", retraining.message(registry, "promoted", champion))
    else:
        retraining.tell_kept(recipe, registry, champion, why)
    retraining.finish(recipe, registry)
    return Outcome("Promoted" if promoted else "Kept", champion.number, why)


def _run(recipe: Recipe, where: Where) -> Ref:
    """Run the pipeline to its report; what is in the store is not made again."""
    state: State[Ref] = pipeline(recipe, where=where, return_state=True)
    if not state.is_completed():
        raise InputError(state.message or "the run did not complete")
    return state.result()
