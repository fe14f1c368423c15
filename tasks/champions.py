"""The champion of a recipe: the encoder that the next one has to beat, and what a run takes from it."""

from __future__ import annotations

from pathlib import Path

from mlctl.config import Recipe
from mlctl.errors import InputError
from storage import Store
from storage.champion_registry import Champion, ChampionRegistry

_MODEL = "model"


def book(recipe: Recipe) -> ChampionRegistry:
    """Return the registry under the recipe's name for its champion."""
    return ChampionRegistry(Store(recipe.store), recipe.retrain.champion or recipe.name)


def model_of(recipe: Recipe, champion: Champion) -> Path:
    """Return the Hugging Face folder of a champion.

    Raises:
        InputError: it has gone from the store, or is damaged.
    """
    found = Store(recipe.store).find("train", champion.results["train"])
    if found is None:
        raise InputError(
            f"champion {champion.number} of {book(recipe).name} has gone from {recipe.store}, or is damaged",
            "`mlctl champion rollback` takes an earlier one",
        )
    return found.folder / _MODEL


def follow(recipe: Recipe, champion: Champion | None) -> Recipe:
    """Return the recipe of the encoder that follows a champion: it starts from its weights if the recipe says so.

    A model from scratch takes the champion's tokenizer in any case: two encoders are compared on the same tokens.
    """
    if champion is None:
        return recipe
    place, model = str(model_of(recipe, champion)), recipe.model
    scratch = model.scratch if model.name else model.scratch.model_copy(update={"tokenizer": place})
    start = place if recipe.retrain.start == "champion" else model.start
    return recipe.model_copy(update={"model": model.model_copy(update={"scratch": scratch, "start": start})})


def check(recipe: Recipe, champion: Champion | None) -> None:
    """Look, before anything runs, whether the recipe's encoder can be compared with the champion.

    Raises:
        InputError: they have different tokenizers.
    """
    if champion is None or not recipe.model.name:
        return
    from mlctl.modeling import model_sources
    from mlctl.modeling.encoders import same_vocabulary

    if not same_vocabulary(model_sources.resolve(recipe.model), model_of(recipe, champion)):
        raise InputError(
            f"{recipe.model.name} has another tokenizer than champion {champion.number} of {book(recipe).name}: they would be asked "
            "different questions",
            "give this line of encoders a name of its own with retrain.champion=…",
        )
