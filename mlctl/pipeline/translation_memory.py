"""Where the translation memory of a recipe's store is."""

from __future__ import annotations

from pathlib import Path

from mlctl.config import Recipe
from storage import Store


def memory_file(recipe: Recipe) -> Path | None:
    """Return the file of the translation memory; None: the recipe uses none."""
    return Store(recipe.store).root / "memory" / "translations.sqlite" if recipe.translate.remember else None
