"""Recipes in the forms in which they can be given: a name, a file, settings, or a recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlctl import config
from mlctl.config import Recipe, Section
from mlctl.errors import InputError

#: Environment variable with the store of recipes that name none.
STORE_VARIABLE = "MLCTL_STORE"

#: The name of a built-in recipe, the path of a YAML file, settings (sections are dicts), or a recipe.
RecipeLike = str | Path | Mapping[str, Any] | Recipe


def load_recipe(recipe: RecipeLike, overrides: Sequence[str] = ()) -> Recipe:
    """Return a validated recipe.

    A recipe is immutable; `recipe.train.steps` reads a setting. One without a store gets that of the environment variable MLCTL_STORE,
    else the folder `mlctl-store` of the current folder, as on the command line.

    Args:
        recipe: name of a built-in recipe (`mlctl recipe --list`), path of a YAML file, settings as a dict, or a recipe to change.
        overrides: settings to change, as on the command line: `["train.steps=200", "languages.targets=[fr, de]"]`.

    Raises:
        InputError: there is no such recipe, or a setting is unknown or invalid; the message names it, the allowed values and its line.

    Example:
        >>> import mlctl
        >>> mlctl.load_recipe("demo", ["train.steps=200"]).train.steps
        200
    """
    store = os.environ.get(STORE_VARIABLE)
    return config.resolve(recipe, overrides, {"store": store} if store else None)


def default_store() -> str:
    """Return the store of recipes that name none: a folder or a URL."""
    return os.environ.get(STORE_VARIABLE) or Recipe().store


def section_recipe(section: str, settings: Mapping[str, Any] | Section | None, languages: tuple[str, str]) -> Recipe:
    """Return a recipe with these settings of one section, for one pair of languages.

    Raises:
        InputError: a setting or a language code is unknown or invalid.
    """
    if not isinstance(languages, Sequence) or isinstance(languages, str) or len(languages) != 2:
        raise InputError(f"languages: {languages!r} is no pair of languages", 'give two codes, source first: ("en", "fr")')
    values = settings.model_dump(mode="json") if isinstance(settings, Section) else dict(settings or {})
    source, target = languages
    return config.parse({"languages": {"source": source, "targets": [target]}, section: values}, f"mlctl.{section}")
