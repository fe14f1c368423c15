"""The parameters `recipe` and `overrides` of every flow: a recipe's name first, all settings as the second form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import WithJsonSchema

from mlctl import recipes
from mlctl.config import Recipe, resolve
from mlctl.errors import InputError

# What the form of a run shows, one tab each. Values are validated here: pydantic would list an error for each form.
BuiltInRecipe = Annotated[
    str, WithJsonSchema({"type": "string", "enum": recipes.names(), "title": "Built-in recipe", "default": "demo"})
]
RecipeFile = Annotated[
    str, WithJsonSchema({"type": "string", "title": "Recipe file", "description": "Path of a YAML file on the worker's machine."})
]
RecipeParameter = BuiltInRecipe | RecipeFile | Recipe


def name_of(recipe: object, overrides: Sequence[str] = ()) -> str:
    """Return the name under which a run shows its recipe, also if the recipe is wrong."""
    try:
        return resolve(recipe, overrides).name
    except InputError:
        return Path(recipe).stem if isinstance(recipe, str) else "recipe"
