"""`mlctl recipe`: recipes and settings."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Column, Table
from rich.text import Text

from mlctl import config, recipes
from mlctl.cli.options import Overrides, complete_recipe, load_recipe, out
from mlctl.config import yaml_text


def recipe(
    name: Annotated[
        str, typer.Argument(help="Recipe to print, validated and complete with defaults.", autocompletion=complete_recipe)
    ] = "demo",
    overrides: Overrides = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print every setting with its limits as JSON schema.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as `--param recipe=…` of a deployment takes it.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the built-in recipes.")] = False,
) -> None:
    """Print a recipe, the built-in recipes, or all settings."""
    import json

    if list_:
        out.print(_table())
    elif schema:
        print(json.dumps(config.Recipe.model_json_schema(), indent=1))
    elif as_json:
        print(load_recipe(name, overrides).model_dump_json())
    else:
        values = load_recipe(name, overrides).model_dump(mode="json")
        print(yaml_text.dump(values), end="")


def _table() -> Table:
    table = Table(Column("recipe", no_wrap=True), Column("description", overflow="fold"), box=SIMPLE, pad_edge=False)
    for name, description in recipes.descriptions().items():
        table.add_row(name, Text(description))
    return table
