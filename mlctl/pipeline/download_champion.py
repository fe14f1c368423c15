"""The encoder that download takes from the champion registry, for sources whose model is `champion`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlctl.config import DocumentsSource, MineSource, Recipe
from mlctl.config.base import CHAMPION
from mlctl.pipeline.champion_encoder import champion_encoder, check_champion_encoder
from mlctl.pipeline.warm_start import NONE, Choice

#: Name of the encoder among what the stage starts from.
ENCODER = "champion"


def requested(recipe: Recipe) -> dict[str, str]:
    """Return whether the champion is used."""
    return {ENCODER: CHAMPION if sources_with_champion(recipe) else NONE}


def choose(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    """Return the encoder that is the champion now; before there is one, that of `model.name`.

    Raises:
        InputError: there is neither.
    """
    del base
    sources = sources_with_champion(recipe)
    return {ENCODER: champion_encoder(recipe, _setting(sources))} if sources else {}


def sources_with_champion(recipe: Recipe) -> list[int]:
    """Return the numbers of the sources whose model is the champion."""
    return [
        index
        for index, source in enumerate(recipe.download.sources)
        if isinstance(source, (MineSource, DocumentsSource)) and source.model == CHAMPION
    ]


def check(recipe: Recipe) -> None:
    """Check that there is an encoder if a source needs the champion. Raises InputError if not."""
    if sources := sources_with_champion(recipe):
        check_champion_encoder(recipe, _setting(sources))


def _setting(sources: Sequence[int]) -> str:
    return f"download.sources.{sources[0]}.model"
