"""The champion of a recipe: the best encoder so far, and what a run takes from it."""

from __future__ import annotations

from pathlib import Path

from mlctl.config import Recipe
from mlctl.errors import InputError
from storage import Store
from storage.champion_registry import Champion, ChampionRegistry

_MODEL = "model"


def registry_of(recipe: Recipe) -> ChampionRegistry:
    """Return the champion registry of a recipe: under `retrain.champion`, or the recipe's name."""
    return ChampionRegistry(Store(recipe.store), recipe.retrain.champion or recipe.name)


def model_of(recipe: Recipe, champion: Champion) -> Path:
    """Return the Hugging Face folder of a champion.

    Raises:
        InputError: it is missing from the store, or damaged.
    """
    trained = Store(recipe.store).find("train", champion.results["train"])
    if trained is None:
        raise InputError(
            f"champion {champion.number} of {registry_of(recipe).name} is missing from {recipe.store}, or damaged",
            "go back to an earlier one: `mlctl champion rollback`",
        )
    return trained.folder / _MODEL


def challenger_recipe(recipe: Recipe, champion: Champion | None) -> Recipe:
    """Return the recipe of the next challenger: it starts from the champion's weights if the recipe says so.

    A model from scratch takes the champion's tokenizer in any case: two encoders are compared on the same tokens.
    """
    if champion is None:
        return recipe
    folder, model = str(model_of(recipe, champion)), recipe.model
    scratch = model.scratch if model.name else model.scratch.model_copy(update={"tokenizer": folder})
    start = folder if recipe.retrain.start == "champion" else model.start
    return recipe.model_copy(update={"model": model.model_copy(update={"scratch": scratch, "start": start})})


def check_comparable(recipe: Recipe, champion: Champion | None) -> None:
    """Check that the recipe's encoder can be compared with the champion.

    Raises:
        InputError: they have different tokenizers.
    """
    if champion is None or not recipe.model.name:
        return
    from mlctl.modeling import model_sources
    from mlctl.modeling.encoders import same_vocabulary

    if not same_vocabulary(model_sources.resolve(recipe.model), model_of(recipe, champion)):
        raise InputError(
            f"{recipe.model.name} has another tokenizer than champion {champion.number} of {registry_of(recipe).name}: their scores "
            "would not be comparable",
            "give this line of encoders another name with retrain.champion=…",
        )
