"""Built-in recipes, found by name: those of this folder, and those of the studies in docs/results.md as `studies/NAME`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from mlctl.recipes.builtin_files import BuiltinFiles

_RECIPES = BuiltinFiles("recipe", Path(str(resources.files(__name__))))
_STUDIES = "studies"


def names() -> list[str]:
    """Return the names of the built-in recipes, without those of the studies."""
    return _RECIPES.names()


def descriptions() -> dict[str, str]:
    """Return all built-in recipes by name, each with a line that describes it: the comment in its first line."""
    return {name: _RECIPES.description(name) for name in (*_RECIPES.names(), *_RECIPES.names(_STUDIES))}


def builtin(name: str) -> Path | None:
    """Return the file of a built-in recipe; None: there is none of this name."""
    return _RECIPES.builtin(name)


def find(recipe: str) -> Path:
    """Return the file of a built-in recipe, or the path itself where it names a file of the user.

    Raises:
        InputError: it is neither; the message suggests a similar one.
    """
    return _RECIPES.find(recipe)
