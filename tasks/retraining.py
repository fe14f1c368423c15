"""The steps of re-training that are no stage: is there news, who wins, who has to be told."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect.artifacts import create_table_artifact

from mlctl import corpora
from mlctl.config import Recipe, key_settings
from mlctl.core.locks import held
from mlctl.core.url_redaction import shown
from mlctl.evaluation import PromotionDecision, decide
from storage import Store, key_of
from storage.champion_registry import Champion, ChampionRegistry, MovedError
from storage.documents import make_folder
from tasks import champions
from tasks.challenge import challenge
from tasks.notify import emit, post
from tasks.publish import publish
from tasks.stage import Ref, lineage, result_of

logger = logging.getLogger("mlctl.retrain")

_MOST_LINES = 8


@dataclass(frozen=True)
class News:
    """What a look at the world found.

    Attributes:
        recipe: the recipe with versions and commits in the place of what stands for the newest.
        lines: what is new, for people; empty: nothing.
        found: the look itself.
    """

    recipe: Recipe
    lines: list[str]
    found: corpora.SourceState

    def seen(self) -> dict[str, Any]:
        """Return what the registry keeps of it, once all of it was fetched."""
        return {"sources": corpora.settled_state(self.found, self.recipe.download), "recipe": self._recipe}

    @property
    def _recipe(self) -> str:
        return digest_of(self.recipe)


@contextlib.contextmanager
def alone(recipe: Recipe) -> Iterator[None]:
    """Hold other re-trainings of the same champion on this machine off; wait where one is at work."""
    folder, name = Store(recipe.store).root / ".locks", champions.book(recipe).name
    make_folder(folder)

    def say() -> None:
        logger.info("another run is re-training %s; waiting for it", name)

    with held(folder / f"retrain-{name}.lock", say):
        yield


def look(recipe: Recipe, known: Mapping[str, Any]) -> News:
    """Look for new or changed sources and settings; `known` is what was seen before. Nothing is fetched.

    Raises:
        InputError: a file that the recipe names is missing.
    """
    sources = known.get("sources", {})
    found = corpora.inspect_sources(recipe.download, recipe.languages, recipe.retrain.refresh_sources, sources)
    for name, why in found.unreachable.items():
        logger.warning("%s could not be asked, it counts as it was: %s", name, why)
    lines = corpora.diff_sources(sources, found.states)
    if known and known.get("recipe") != digest_of(recipe):
        lines.append("changed: the recipe")
    download = recipe.download.model_copy(update={"sources": tuple(found.sources)})
    return News(recipe.model_copy(update={"download": download}), lines, found)


def take(news: News) -> None:
    """Let the run that follows take what addresses give now, and say what is new."""
    for line in news.lines[:_MOST_LINES]:
        logger.info("%s", line)
    if len(news.lines) > _MOST_LINES:
        logger.info("and %d more", len(news.lines) - _MOST_LINES)
    if news.found.changed:
        corpora.Lockfile(Path(news.recipe.download.lock)).expire(news.found.changed)


def settle(recipe: Recipe, reported: Ref, seen: Mapping[str, Any]) -> tuple[Champion, bool, str]:
    """Judge what a run came to against the champion, and promote it if it is better.

    Returns:
        The champion that counts now, whether it is the new one, and why.
    """
    registry = champions.book(recipe)
    results = {stage: result.manifest.key for stage, result in lineage(reported).items()}
    while True:
        champion = registry.read().champion
        try:
            if champion is None:
                return registry.promote(0, results, _first(), recipe.retrain.keep, seen), True, _first()
            return _settle(recipe, registry, champion, results, seen)
        except MovedError:
            logger.info("%s has another champion by now: judging against that one", registry.name)


def finish(recipe: Recipe, registry: ChampionRegistry, what: str = "promoted") -> None:
    """Do what is left to do with the champion that counts: publish it and tell of it. What was done is not done again.

    `what` says how it came to count.

    Raises:
        InputError, StoreError: it cannot be published.
    """
    champion = registry.read().champion
    if champion is None:
        return
    for place in recipe.retrain.publish:
        if (note := f"published: {shown(place)}") not in champion.done:
            publish(Store(recipe.store), registry.name, champion, place)
            logger.info("champion %d of %s is %s", champion.number, registry.name, note)
            registry.note(champion.number, note)
    for receiver in recipe.retrain.notify:
        note = f"told: {shown(receiver)}"  # records are read by many: no token of an address
        if note not in champion.done and post(receiver, message(registry, what, champion)):
            registry.note(champion.number, note)


def tell_kept(recipe: Recipe, registry: ChampionRegistry, champion: Champion, why: str) -> None:
    """Tell that a challenger did not win."""
    said = message(registry, "kept", champion, why)
    emit(registry.name, "kept", said)
    for receiver in recipe.retrain.notify:
        post(receiver, said)


def message(registry: ChampionRegistry, what: str, champion: Champion, why: str = "") -> dict[str, Any]:
    """Return what others are told: no addresses, no paths, no secrets."""
    why = why or champion.why
    return {
        "text": f"mlctl: champion {champion.number} of {registry.name} {what}: {why}",
        "event": what,
        "champion": registry.name,
        "number": champion.number,
        "made": champion.made,
        "why": why,
        "results": champion.results,
        "scores": champion.facts.get("comparisons", []),
    }


def digest_of(recipe: Recipe) -> str:
    """Return a digest of all settings that can change the encoder, sources left out: they are looked at one by one."""
    sections = key_settings(recipe)
    sections["download"] = key_settings(recipe.download.model_copy(update={"sources": ()}))
    names = [recipe.model.name, recipe.model.start, recipe.model.scratch.tokenizer]
    return key_of({"recipe": sections, "models": names, "start": recipe.retrain.start})


def _first() -> str:
    return "it is the first"


def _settle(
    recipe: Recipe, registry: ChampionRegistry, champion: Champion, results: dict[str, str], seen: Mapping[str, Any]
) -> tuple[Champion, bool, str]:
    if results["train"] == champion.results["train"]:
        registry.confirm(champion.number, seen)
        return champion, False, "what is new made no other encoder"
    judged, verdict = _judge(recipe, champion, results)
    _show(verdict)
    if not verdict.better:
        registry.confirm(champion.number, seen)
        return champion, False, verdict.why
    facts = {"comparisons": [asdict(comparison) for comparison in verdict.comparisons], "over": champion.number}
    places = {**results, "challenge": judged["key"]}
    return registry.promote(champion.number, places, verdict.why, recipe.retrain.keep, seen, facts), True, verdict.why


def _judge(recipe: Recipe, champion: Champion, results: Mapping[str, str]) -> tuple[Ref, PromotionDecision]:
    def ref(stage: str, keys: Mapping[str, str]) -> Ref:
        return Ref(stage=stage, key=keys[stage], store=recipe.store)

    rival = {stage: ref(stage, champion.results) for stage in ("shard", "train")}
    judged = challenge(recipe, ref("shard", results), ref("train", results), rival)
    folder = result_of(judged).folder
    return judged, decide(folder, recipe.evaluate.resamples, recipe.seed, recipe.retrain.tolerance)


def _show(verdict: PromotionDecision) -> None:
    rows = [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(d).items()}
        for d in verdict.comparisons
    ]
    create_table_artifact(rows, key="verdict", description=f"Challenger against champion: {verdict.why}")
