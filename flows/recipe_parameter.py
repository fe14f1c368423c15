"""The parameters `recipe` and `overrides` of every flow: a recipe's name first, all settings as the second form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import WithJsonSchema

from mlctl import config, recipes
from mlctl.config import Recipe
from mlctl.errors import InputError

# What the form of a run shows, one tab each. Values are validated here: pydantic would list an error for each form.
BuiltInRecipe = Annotated[
    str, WithJsonSchema({"type": "string", "enum": recipes.names(), "title": "Built-in recipe", "default": "demo"})
]
RecipeFile = Annotated[
    str, WithJsonSchema({"type": "string", "title": "Recipe file", "description": "Path of a YAML file on the worker's machine."})
]
RecipeParameter = BuiltInRecipe | RecipeFile | Recipe


def resolve(recipe: object, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a run.

    Args:
        recipe: a recipe, its settings, the name of a built-in recipe or the path of a YAML file; relative paths start at the project.
        overrides: settings to change, such as `train.steps=200`.

    Raises:
        InputError: a setting is wrong or there is no such recipe.
    """
    if isinstance(recipe, str):
        return config.load(recipes.find(recipe), overrides)
    values: Any = recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else recipe
    if not isinstance(values, dict):
        raise InputError(f"recipe: {recipe!r} is not a recipe", "give the name of a recipe, the path of a YAML file, or settings")
    if isinstance(recipe, Recipe) and not overrides:
        return recipe
    return config.parse(values, overrides=overrides)


def name_of(recipe: object, overrides: Sequence[str] = ()) -> str:
    """Return the name under which a run shows its recipe, also if the recipe is wrong."""
    try:
        return resolve(recipe, overrides).name
    except InputError:
        return Path(recipe).stem if isinstance(recipe, str) else "recipe"
