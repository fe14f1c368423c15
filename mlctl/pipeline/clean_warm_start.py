"""What cleaning takes from earlier results: the lexicons that word alignment learned from other text, and the champion that scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlctl.config import Recipe
from mlctl.pipeline import score_models
from mlctl.pipeline.warm_start import LAST, NONE, Choice, from_folder, newest
from storage import Manifest, Store

_PATH = "models/{}/lexicon.parquet"


def requested(recipe: Recipe) -> dict[str, str]:
    """Return the settings that say what is reused."""
    return {"lexicon": recipe.clean.lexicon, **score_models.requested(recipe)}


def choose(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    """Return what is available now: `lexicon.<t>` by target language, and `score.<name>` for scores of the champion.

    Raises:
        InputError: the folder that the recipe names has no lexicon, or there is no encoder for a score.
    """
    return _lexicons(recipe, base) | score_models.choose(recipe)


def check(recipe: Recipe) -> None:
    """Check that the folder that the recipe names has a lexicon, and that there is an encoder for scores of the champion.

    Raises:
        InputError: one is missing.
    """
    if recipe.clean.lexicon not in {LAST, NONE}:
        _from_folder(recipe)
    score_models.check(recipe)


def _lexicons(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    if recipe.clean.lexicon == NONE:
        return {}
    return _last(recipe, base) if recipe.clean.lexicon == LAST else _from_folder(recipe)


def _from_folder(recipe: Recipe) -> Choice:
    return from_folder(recipe, "lexicon", "clean.lexicon", recipe.clean.lexicon, _PATH)


def _last(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    """Find for each target language the newest lexicon that was learned from other text."""
    store = Store(recipe.store)
    results = (result for result in store.results("align") if _is_usable(store, result.manifest, base))
    return newest(recipe, "lexicon", _PATH, results)


def _is_usable(store: Store, aligned: Manifest, base: Mapping[str, Any]) -> bool:
    """Return whether an align result has the same source language and comes from another download, as its clean result says."""
    cleaned = store.find("clean", aligned.inputs["clean"])
    same = aligned.parts["settings"]["languages"]["source"] == base["settings"]["languages"]["source"]
    return same and cleaned is not None and cleaned.manifest.parts["inputs"] != base["inputs"]
