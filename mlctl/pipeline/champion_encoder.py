"""The encoder that `model: champion` stands for: the champion of the recipe or, as long as there is none, the recipe's model."""

from __future__ import annotations

from mlctl.config import Recipe
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.pipeline.champion import registry_of
from mlctl.pipeline.warm_start import source_in
from storage import Store


def champion_encoder(recipe: Recipe, setting: str) -> dict[str, str]:
    """Return the entry of a choice: digest and path of the encoder.

    Args:
        recipe: the recipe.
        setting: that names the champion, for messages.

    Raises:
        InputError: there is neither a champion nor a model, or the champion is missing from the store.
    """
    if source := _source(recipe):
        return source
    _check_named(recipe, setting)
    return {
        "digest": model_sources.encoder_digest(recipe.model, "model.name"),
        "path": str(model_sources.resolve(recipe.model).absolute()),
    }


def check_champion_encoder(recipe: Recipe, setting: str) -> None:
    """Check that there is an encoder, without loading or downloading it. Raises InputError as `champion_encoder` does."""
    if not _source(recipe):
        _check_named(recipe, setting)


def _source(recipe: Recipe) -> dict[str, str]:
    """Return the entry of the champion; empty without one."""
    registry = registry_of(recipe)
    if champion := registry.read().champion:
        store = Store(recipe.store)
        trained = store.find("train", champion.results["train"])
        if trained and (source := source_in(store, trained, "model")):
            return source
        problem = f"champion {champion.number} of {registry.name} is missing from {recipe.store}, or damaged"
        raise InputError(problem, "go back to an earlier one: `mlctl champion rollback`")
    return {}


def _check_named(recipe: Recipe, setting: str) -> None:
    if not recipe.model.name:
        problem = f"{setting} is champion, but {registry_of(recipe).name} has no champion yet and the recipe's model is made from scratch"
        raise InputError(problem, "name a folder or hub name instead, or set model.name")
