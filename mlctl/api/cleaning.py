"""`mlctl.clean`: the rules of the stage clean on pairs that are given in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mlctl.api import frames
from mlctl.api.recipes import section_recipe
from mlctl.api.sentences import pair_table
from mlctl.config import Clean
from mlctl.errors import InputError
from mlctl.pipeline import score_models

if TYPE_CHECKING:
    import pandas as pd


def clean(
    sources: Iterable[str | None],
    targets: Iterable[str | None],
    languages: tuple[str, str],
    *,
    settings: Clean | Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Normalise pairs, and find those that are not worth training on, by the rules of the stage clean.

    Some rules compare the pairs with each other (duplicates, boilerplate), and some learn from them (the usual ratio of lengths, likely
    translations): give all pairs of a corpus at once.

    Args:
        sources: N texts.
        targets: their N translations; None (or NaN) in one of both: text without translation.
        languages: the codes of both languages, source first: `("en", "fr")`.
        settings: of the recipe's section `clean` (docs/clean.md), such as `{"max_words": 80}`; None: the defaults.

    Returns:
        A row a pair, in their order: `source` and `target` (clean text; of a dropped pair the text as it was given), `rule` (the rule
        that drops it; empty: it is kept) and `reason` (what that rule drops).

    Raises:
        InputError: N differs, an item is no text, a setting or a language is invalid, or a scorer cannot be used.

    Example:
        >>> import mlctl
        >>> checked = mlctl.clean(["Open the file", "OK"], ["Ouvrir le fichier", "OK"], ("en", "fr"))
        >>> kept = checked[checked.rule == ""]
    """
    from mlctl.cleaning.in_memory import clean_table
    from mlctl.cleaning.stage import reasons

    frames.require_pandas()
    recipe = section_recipe("clean", settings, languages)
    if score_models.requested(recipe):
        raise InputError(
            "clean.scores: `champion` is the champion of a recipe's store", "name an encoder: its folder or hub name"
        )
    rows = pair_table(sources, targets, recipe, missing=True)
    cleaned = clean_table(recipe.clean, recipe.languages, rows, score_models.encoders(recipe, {}))
    found = reasons(recipe.clean, recipe.languages.source, recipe.languages.targets[0])
    described = pa.array([found.get(rule, "") for rule in cleaned["rule"].to_pylist()], pa.string())
    return frames.to_frame(cleaned.select(["source", "target", "rule"]).append_column("reason", described))
