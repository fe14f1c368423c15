"""What cleaning reuses of earlier results: the lexicons that word alignment learned from other text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlctl.config import Recipe
from storage import Manifest, Store
from tasks import reuse
from tasks.reuse import LAST, NONE, Choice

_PATH = "models/{}/lexicon.parquet"


def asked(recipe: Recipe) -> dict[str, str]:
    """Return the setting that says what is reused."""
    return {"lexicon": recipe.clean.lexicon}


def choose(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    """Return what there is to reuse now: `lexicon.<t>`.

    Raises:
        InputError: what the recipe names is not there.
    """
    if recipe.clean.lexicon == NONE:
        return {}
    return _last(recipe, base) if recipe.clean.lexicon == LAST else _given(recipe)


def check(recipe: Recipe) -> None:
    """Look, before anything runs, whether the folder that the recipe names has a lexicon.

    Raises:
        InputError: it has none.
    """
    if recipe.clean.lexicon not in {LAST, NONE}:
        _given(recipe)


def _given(recipe: Recipe) -> Choice:
    return reuse.given(recipe, "lexicon", "clean.lexicon", recipe.clean.lexicon, _PATH)


def _last(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    """Find for each target language the newest lexicon that was learned from other text."""
    store = Store(recipe.store)
    results = (result for result in store.results("align") if _fits(store, result.manifest, base))
    return reuse.newest(recipe, "lexicon", _PATH, results)


def _fits(store: Store, aligned: Manifest, base: Mapping[str, Any]) -> bool:
    """Tell whether an align result goes back to the same source language and another download; without its clean result one cannot."""
    cleaned = store.find("clean", aligned.inputs["clean"])
    same = aligned.parts["settings"]["languages"]["source"] == base["settings"]["languages"]["source"]
    return same and cleaned is not None and cleaned.manifest.parts["inputs"] != base["inputs"]
