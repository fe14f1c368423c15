"""Re-training without Prefect: what is new, which encoder becomes the champion, and who is notified."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlctl import corpora
from mlctl.config import Recipe, key_settings
from mlctl.core.hashing import key_of
from mlctl.core.locks import locked
from mlctl.core.path_errors import explain_path_errors
from mlctl.core.url_redaction import redact_receiver, redact_url
from mlctl.evaluation import PromotionDecision, decide
from mlctl.pipeline.champion import registry_of
from mlctl.pipeline.export import check_not_worse
from mlctl.pipeline.publish import publish
from mlctl.pipeline.stage import Ref, lineage, result_of
from mlctl.reporting.regressions import regressions
from storage import Store
from storage.champion_registry import Champion, ChampionRegistry, MovedError
from storage.documents import make_folder

logger = logging.getLogger("mlctl.retrain")

_MAX_LOG_LINES = 8
_FIRST = "first champion"

#: Sends a message to a receiver of `retrain.notify` and returns whether it was accepted.
Send = Callable[[str, dict[str, Any]], bool]
#: Evaluates a challenger (shard and train results) against a champion (the same, by stage) and returns the result.
Challenge = Callable[[Recipe, Ref, Ref, dict[str, Ref]], Ref]


@dataclass(frozen=True)
class Changes:
    """What has changed since the last check.

    Attributes:
        recipe: the recipe with versions and commits in place of "newest".
        lines: what is new, one line each; empty: nothing.
        state: present state of the sources.
    """

    recipe: Recipe
    lines: list[str]
    state: corpora.SourceState

    def seen(self) -> dict[str, Any]:
        """Return the state of the sources and the recipe that the registry stores once everything was fetched."""
        return {"sources": corpora.settled_state(self.state, self.recipe.download), "recipe": recipe_digest(self.recipe)}


@dataclass(frozen=True)
class Settlement:
    """How a re-training ended: the champion that is current now, whether it is the challenger, why, and the comparison behind it."""

    champion: Champion
    promoted: bool
    reason: str
    decision: PromotionDecision | None = None


@contextlib.contextmanager
def exclusive(recipe: Recipe) -> Iterator[None]:
    """Lock the champion of a recipe against other re-trainings on this machine; wait while one is running."""
    folder, name = Store(recipe.store).root / ".locks", registry_of(recipe).name

    def log_waiting() -> None:
        logger.info("another run is re-training %s; waiting for it", name)

    with explain_path_errors():
        make_folder(folder)
        with locked(folder / f"retrain-{name}.lock", log_waiting):
            yield


def find_changes(recipe: Recipe, known: Mapping[str, Any]) -> Changes:
    """Return new or changed sources and settings against what was seen before (`known`). Nothing is fetched.

    Raises:
        InputError: a file that the recipe names is missing.
    """
    sources = known.get("sources", {})
    state = corpora.inspect_sources(recipe.download, recipe.languages, recipe.retrain.refresh_sources, sources)
    for name, reason in state.unreachable.items():
        logger.warning("%s is unreachable and is treated as unchanged: %s", name, reason)
    lines = corpora.diff_sources(sources, state.states)
    if known and known.get("recipe") != recipe_digest(recipe):
        lines.append("changed: the recipe")
    download = recipe.download.model_copy(update={"sources": tuple(state.sources)})
    return Changes(recipe.model_copy(update={"download": download}), lines, state)


def accept(changes: Changes) -> None:
    """Log what is new, and make the next run fetch the changed URLs again."""
    for line in changes.lines[:_MAX_LOG_LINES]:
        logger.info("%s", line)
    if len(changes.lines) > _MAX_LOG_LINES:
        logger.info("and %d more", len(changes.lines) - _MAX_LOG_LINES)
    if changes.state.changed:
        corpora.Lockfile(Path(changes.recipe.download.lock)).expire(changes.state.changed)


def settle(recipe: Recipe, report: Ref, seen: Mapping[str, Any], challenge: Challenge) -> Settlement:
    """Compare the encoder of a run with the champion, and promote it if it is better.

    Args:
        recipe: of the run.
        report: the run's report; an encoder that is significantly worse than the model that it started from is not promoted.
        seen: state of the sources and the recipe for the registry.
        challenge: evaluates both encoders under one harness.

    Raises:
        InputError: the encoder of the first run is worse than the model that it started from.
    """
    registry = registry_of(recipe)
    results = {stage: result.manifest.key for stage, result in lineage(report).items()}
    while True:
        champion = registry.read().champion
        try:
            if champion is None:
                remedy = f"to make it the champion anyway: `mlctl champion promote {recipe.name} RUN --force`"
                check_not_worse(Store(recipe.store), report["key"], remedy)
                return Settlement(registry.promote(0, results, _FIRST, recipe.retrain.keep, seen), True, _FIRST)
            return _compare(recipe, registry, champion, results, seen, challenge)
        except MovedError:
            logger.info("%s has another champion by now: comparing with that one", registry.name)


def finish(recipe: Recipe, registry: ChampionRegistry, send: Send, event: str = "promoted") -> None:
    """Publish the current champion and notify the receivers; what was done before is not repeated.

    `event` says how it became the champion.

    Raises:
        InputError, StoreError: it cannot be published.
    """
    champion = registry.read().champion
    if champion is None:
        return
    for target in recipe.retrain.publish:
        if (note := f"published: {redact_url(target)}") not in champion.notes:
            publish(Store(recipe.store), registry.name, champion, target)
            logger.info("champion %d of %s is %s", champion.number, registry.name, note)
            registry.add_note(champion.number, note)
    for receiver in recipe.retrain.notify:
        note = f"notified: {redact_receiver(receiver)}"  # many people read records
        if note not in champion.notes and send(receiver, message(registry, event, champion)):
            registry.add_note(champion.number, note)


def message(registry: ChampionRegistry, event: str, champion: Champion, reason: str = "") -> dict[str, Any]:
    """Return the message about a champion that receivers get: no addresses, no paths, no secrets."""
    reason = reason or champion.reason
    return {
        "text": f"mlctl: champion {champion.number} of {registry.name} {event}: {reason}",
        "event": event,
        "champion": registry.name,
        "number": champion.number,
        "created": champion.created,
        "reason": reason,
        "results": champion.results,
        "scores": champion.details.get("comparisons", []),
    }


def recipe_digest(recipe: Recipe) -> str:
    """Return a digest of all settings that can change the encoder, without the sources: these are compared one by one."""
    sections = key_settings(recipe)
    sections["download"] = key_settings(recipe.download.model_copy(update={"sources": ()}))
    names = [recipe.model.name, recipe.model.start, recipe.model.scratch.tokenizer]
    return key_of({"recipe": sections, "models": names, "start": recipe.retrain.start})


def _compare(
    recipe: Recipe,
    registry: ChampionRegistry,
    champion: Champion,
    results: dict[str, str],
    seen: Mapping[str, Any],
    challenge: Challenge,
) -> Settlement:
    if results["train"] == champion.results["train"]:
        registry.confirm(champion.number, seen)
        return Settlement(champion, False, "the changes led to the same encoder")

    if worse := regressions(result_of(Ref(stage="report", key=results["report"], store=recipe.store)).folder):
        registry.confirm(champion.number, seen)
        return Settlement(champion, False, f"significantly worse than the base model: {'; '.join(worse)}")

    def ref(stage: str, keys: Mapping[str, str]) -> Ref:
        return Ref(stage=stage, key=keys[stage], store=recipe.store)

    champion_refs = {stage: ref(stage, champion.results) for stage in ("shard", "train")}
    compared = challenge(recipe, ref("shard", results), ref("train", results), champion_refs)
    decision = decide(result_of(compared).folder, recipe.evaluate.resamples, recipe.seed, recipe.retrain.tolerance)
    if not decision.is_better:
        registry.confirm(champion.number, seen)
        return Settlement(champion, False, decision.reason, decision)
    details = {"comparisons": [asdict(comparison) for comparison in decision.comparisons], "previous": champion.number}
    keys = {**results, "challenge": compared["key"]}
    promoted = registry.promote(champion.number, keys, decision.reason, recipe.retrain.keep, seen, details)
    return Settlement(promoted, True, decision.reason, decision)
