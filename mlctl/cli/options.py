"""Arguments and options that several commands share, and the loading of recipes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mlctl import config, recipes
from mlctl.config import schema_paths


def complete_recipe(incomplete: str) -> Iterator[str | tuple[str, str]]:
    """Yield the built-in recipes and the YAML files that a word of the command line may become."""
    yield from ((name, text) for name, text in recipes.descriptions().items() if name.startswith(incomplete))
    yield from (str(path) for path in sorted(Path().glob("*.y*ml")) if str(path).startswith(incomplete))


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
StoreFolder = Annotated[str, typer.Option("--store", help="Folder or URL of the store.")]

DEFAULT_STORE = config.Recipe().store

out = Console(highlight=False)


def load_recipe(name: str, overrides: list[str] | None) -> config.Recipe:
    """Return a built-in recipe or that of a file, with overrides applied.

    Raises:
        InputError: a setting is wrong or the file cannot be read.
    """
    return config.load(recipes.find(name), overrides or ())


def shorten(value: object, length: int = 60) -> str:
    """Return a value as text of at most `length` characters; a dash for None."""
    text = "–" if value is None else str(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"
