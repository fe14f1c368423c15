"""Built-in recipes, found by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def names() -> list[str]:
    """Return the names of the built-in recipes."""
    return sorted(Path(item.name).stem for item in resources.files(__name__).iterdir() if item.name.endswith(".yaml"))


def find(recipe: str) -> Path:
    """Return the file of a built-in recipe, or the path itself where it names a file of the user."""
    builtin = Path(str(resources.files(__name__))) / f"{recipe}.yaml"
    return builtin if builtin.exists() and not Path(recipe).exists() else Path(recipe)
