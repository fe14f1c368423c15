"""The encoders of `clean.scores`: which models the recipe names, and what `champion` stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlctl.config import Model, Recipe
from mlctl.config.base import CHAMPION
from mlctl.config.scores import EncoderScore
from mlctl.modeling import model_sources
from mlctl.pipeline.champion_encoder import champion_encoder, check_champion_encoder
from mlctl.pipeline.warm_start import Choice
from mlctl.scoring import identity

_ENTRY = "score."  # of a choice: what `model: champion` of a score stands for


def requested(recipe: Recipe) -> dict[str, str]:
    """Return the scores whose encoder changes from run to run."""
    return {f"{_ENTRY}{name}": CHAMPION for name, score in _encoder_scores(recipe) if score.model == CHAMPION}


def choose(recipe: Recipe) -> Choice:
    """Return the encoder of these scores: that of the champion or, as long as there is none, the recipe's model.

    Raises:
        InputError: there is neither.
    """
    names = list(requested(recipe))
    return dict.fromkeys(names, champion_encoder(recipe, _setting(names))) if names else {}


def check(recipe: Recipe) -> None:
    """Check that there is an encoder for scores of the champion, without loading or downloading it.

    Raises:
        InputError: there is none.
    """
    if names := list(requested(recipe)):
        check_champion_encoder(recipe, _setting(names))


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


def _setting(names: Sequence[str]) -> str:
    """Return the setting of the first of these entries of a choice."""
    return f"clean.scores.{names[0].removeprefix(_ENTRY)}.model"
