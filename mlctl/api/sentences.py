"""Sentences that are given in memory, as the stages read them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pyarrow as pa

from mlctl.config import Recipe
from mlctl.errors import InputError
from mlctl.schema import PAIR


def text_list(texts: Iterable[str | None], name: str, *, missing: bool = False) -> list[str | None]:
    """Return texts as a list; `missing`: None and NaN are allowed, and become None.

    Raises:
        InputError: it is one text, or an item is no text; the message names its position.
    """
    if isinstance(texts, str):
        raise InputError(f"{name} is one text, {texts[:40]!r}", f"give a list: [{name}]")
    found: list[str | None] = []
    for position, text in enumerate(texts):
        absent = missing and _is_missing(text)
        if not absent and not isinstance(text, str):
            raise InputError(f"{name}[{position}] is {type(text).__name__} {text!r:.40}, not text", "give strings")
        found.append(None if absent else text)
    return found


def _is_missing(text: object) -> bool:
    """Return whether a value is what lists and data frames have in place of a text: None, NaN or pandas' NA."""
    return text is None or (isinstance(text, float) and math.isnan(text)) or type(text).__name__ == "NAType"


def pair_table(
    sources: Iterable[str | None], targets: Iterable[str | None], recipe: Recipe, *, missing: bool = False
) -> pa.Table:
    """Return pairs as rows of `schema.PAIR`, whose `origin` is their position.

    Args:
        sources: texts in the recipe's source language.
        targets: texts in its one target language.
        recipe: names the languages.
        missing: whether a side may be None (text without translation), but not both.

    Raises:
        InputError: the lists have different lengths, or an item is no text.
    """
    sides = text_list(sources, "sources", missing=missing), text_list(targets, "targets", missing=missing)
    if len(sides[0]) != len(sides[1]):
        problem = f"{len(sides[0])} sources, but {len(sides[1])} targets"
        raise InputError(problem, "give as many: sources[i] and targets[i] are a pair")
    rows = len(sides[0])
    if empty := [position for position in range(rows) if sides[0][position] is None and sides[1][position] is None]:
        raise InputError(f"pair {empty[0]} has neither source nor target", "drop it")
    columns = {
        "source_language": pa.repeat(recipe.languages.source, rows),
        "target_language": pa.repeat(recipe.languages.targets[0], rows),
        "source": pa.array(sides[0], pa.string()),
        "target": pa.array(sides[1], pa.string()),
        "origin": pa.array([str(position) for position in range(rows)], pa.string()),
        "scores": pa.nulls(rows, PAIR.field("scores").type),
    }
    texts = pa.repeat("", rows)
    return pa.table([columns.get(name, texts) for name in PAIR.names], schema=PAIR)
