"""`mlctl recipe`: recipes and settings."""

from __future__ import annotations

from typing import Annotated

import typer

from mlctl import config, recipes
from mlctl.cli.options import Overrides, load_recipe, out


def recipe(
    name: Annotated[str, typer.Argument(help="Recipe to print, validated and complete with defaults.")] = "demo",
    overrides: Overrides = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print every setting with its limits as JSON schema.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as `--param recipe=…` of a deployment takes it.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the built-in recipes.")] = False,
) -> None:
    """Print a recipe, the built-in recipes, or all settings."""
    import json

    import yaml

    if list_:
        out.print("\n".join(recipes.names()))
    elif schema:
        print(json.dumps(config.Recipe.model_json_schema(), indent=1))
    elif as_json:
        print(load_recipe(name, overrides).model_dump_json())
    else:
        values = load_recipe(name, overrides).model_dump(mode="json")
        print(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), end="")
