"""The encoders of `clean.scores`: which models the recipe names, and what `champion` stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mlctl.config import Model, Recipe
from mlctl.config.scores import EncoderScore
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.pipeline.champion import registry_of
from mlctl.pipeline.warm_start import CHAMPION, Choice, source_in
from mlctl.scoring import identity
from storage import Store

_ENTRY = "score."  # of a choice: what `model: champion` of a score stands for


def requested(recipe: Recipe) -> dict[str, str]:
    """Return the scores whose encoder changes from run to run."""
    return {f"{_ENTRY}{name}": CHAMPION for name, score in _encoder_scores(recipe) if score.model == CHAMPION}


def choose(recipe: Recipe) -> Choice:
    """Return the encoder of these scores: that of the champion or, as long as there is none, the recipe's model.

    Raises:
        InputError: there is neither.
    """
    names = requested(recipe)
    return dict.fromkeys(names, _champion(recipe)) if names else {}


def check(recipe: Recipe) -> None:
    """Check that there is an encoder for scores of the champion, without loading or downloading it.

    Raises:
        InputError: there is none.
    """
    if requested(recipe) and not _champion_source(recipe):
        _check_named(recipe)


def named_models(recipe: Recipe) -> Iterator[tuple[str, Model]]:
    """Yield the setting and the model of each score that names an encoder."""
    for name, score in _encoder_scores(recipe):
        if score.model != CHAMPION:
            yield f"clean.scores.{name}.model", identity.encoder_model(score)


def digests(recipe: Recipe) -> dict[str, str]:
    """Return the digest of each score's model and program, without those of `choose`.

    Raises:
        InputError: one is missing.
    """
    languages, chosen = recipe.languages, requested(recipe)
    scores = {name: score for name, score in recipe.clean.scores.items() if f"{_ENTRY}{name}" not in chosen}
    digested = {name: identity.digest(score, name, languages.source, languages.targets) for name, score in scores.items()}
    return {f"{_ENTRY}{name}": digest for name, digest in digested.items() if digest}


def encoders(recipe: Recipe, reused: Mapping[str, Path]) -> dict[str, Path]:
    """Return the folder of each score's encoder; `reused` are the sources of a choice.

    Raises:
        InputError: a model is missing.
    """
    return {
        name: reused.get(f"{_ENTRY}{name}")
        or model_sources.resolve(identity.encoder_model(score), f"clean.scores.{name}.model").absolute()
        for name, score in _encoder_scores(recipe)
    }


def _encoder_scores(recipe: Recipe) -> Iterator[tuple[str, EncoderScore]]:
    for name, score in recipe.clean.scores.items():
        if isinstance(score, EncoderScore):
            yield name, score


def _champion(recipe: Recipe) -> dict[str, str]:
    if source := _champion_source(recipe):
        return source
    _check_named(recipe)
    folder = model_sources.resolve(recipe.model).absolute()
    return {"digest": identity.encoder_digest(recipe.model, "model.name"), "path": str(folder)}


def _champion_source(recipe: Recipe) -> dict[str, str]:
    """Return the entry of a choice for the champion's model; empty without a champion.

    Raises:
        InputError: it is missing from the store, or damaged.
    """
    registry = registry_of(recipe)
    if champion := registry.read().champion:
        store = Store(recipe.store)
        trained = store.find("train", champion.results["train"])
        if trained and (source := source_in(store, trained, "model")):
            return source
        problem = f"champion {champion.number} of {registry.name} is missing from {recipe.store}, or damaged"
        raise InputError(problem, "go back to an earlier one: `mlctl champion rollback`")
    return {}


def _check_named(recipe: Recipe) -> None:
    if not recipe.model.name:
        raise InputError(
            f"clean.scores: `model: champion`, but {registry_of(recipe).name} has no champion yet and the recipe's model is made from scratch",
            "name a folder or hub name, or add the score when there is a champion",
        )
