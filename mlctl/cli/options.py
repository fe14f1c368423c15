"""Arguments and options that several commands share, and the loading of recipes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mlctl import config, recipes, sweeps
from mlctl.api.recipes import STORE_VARIABLE, default_store
from mlctl.api.recipes import load_recipe as load
from mlctl.config import schema_paths
from mlctl.errors import InputError
from storage import Store


def complete_recipe(incomplete: str) -> Iterator[str | tuple[str, str]]:
    """Yield the built-in recipes and the YAML files that a word of the command line may become."""
    yield from ((name, text) for name, text in recipes.descriptions().items() if name.startswith(incomplete))
    yield from _yaml_files(incomplete)


def complete_sweep(incomplete: str) -> Iterator[str | tuple[str, str]]:
    """Yield the built-in sweeps and the YAML files that a word of the command line may become."""
    yield from ((name, text) for name, text in sweeps.descriptions().items() if name.startswith(incomplete))
    yield from _yaml_files(incomplete)


def complete_override(incomplete: str) -> Iterator[str]:
    """Yield the settings that a word of the command line may become."""
    yield from (f"{name}=" for name in schema_paths.all_settings(config.Recipe) if name.startswith(incomplete))


RecipeName = Annotated[
    str, typer.Argument(help="A built-in recipe (`mlctl recipe --list`) or a YAML file.", autocompletion=complete_recipe)
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Settings to change, e.g. train.steps=200.", show_default=False, autocompletion=complete_override),
]
StoreFolder = Annotated[
    str,
    typer.Option(
        "--store",
        help="Folder or URL of the store; default: that of --recipe, else MLCTL_STORE, else mlctl-store in the current folder.",
        show_default=False,
    ),
]
OptionalRecipe = Annotated[
    str, typer.Option("--recipe", help="Recipe whose store is used.", show_default=False, autocompletion=complete_recipe)
]

_NAME_STORE = "name its folder with --store, its recipe with --recipe, or set MLCTL_STORE"
DEFAULT_STORE = ""  # the one of MLCTL_STORE or of a recipe without a store

out = Console(highlight=False)


def load_recipe(name: str, overrides: list[str] | None) -> config.Recipe:
    """Return a built-in recipe or that of a file, with overrides applied.

    Raises:
        InputError: a setting is wrong or the file cannot be read.
    """
    return load(name, overrides or ())


def existing_store(folder: str, recipe: str = "", option: str = "--store", remedy: str = _NAME_STORE) -> Store:
    """Return the store of a folder or URL; without one, that of a recipe, of MLCTL_STORE, or `mlctl-store`.

    Args:
        folder: a folder or URL; empty: none is named.
        recipe: whose store is used if none is named.
        option: what names the folder on the command line.
        remedy: of the error.

    Raises:
        InputError: there is no such folder.
    """
    chosen, origin = _chosen_store(folder, recipe, option)
    store = Store(chosen)
    if "://" not in chosen and not store.root.is_dir():
        raise InputError(f"there is no store at {store.root} ({origin})", remedy)
    return store


def _yaml_files(incomplete: str) -> Iterator[str]:
    yield from (str(path) for path in sorted(Path().glob("*.y*ml")) if str(path).startswith(incomplete))


def _chosen_store(folder: str, recipe: str, option: str) -> tuple[str, str]:
    """Return the folder or URL of a store, and what names it."""
    if folder:
        return folder, option
    if recipe:
        return load_recipe(recipe, None).store, f"the store of the recipe {recipe}"
    return default_store(), STORE_VARIABLE if os.environ.get(STORE_VARIABLE) else "the default, in the current folder"


def shorten(value: object, length: int = 60) -> str:
    """Return a value as text of at most `length` characters; a dash for None."""
    text = "–" if value is None else str(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"
