"""Arguments and options that several commands share, and the loading of recipes."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from mlctl import config, recipes

RecipeName = Annotated[str, typer.Argument(help="A built-in recipe (`mlctl recipe --list`) or a YAML file.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings to change, e.g. train.steps=200.", show_default=False)]
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
