"""The encoder that download takes from the champion registry, for sources whose model is `champion`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlctl.config import DocumentsSource, MineSource, Recipe
from mlctl.core.hashing import content_digest
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.pipeline.champion import registry_of
from mlctl.pipeline.warm_start import CHAMPION, NONE, Choice, source_in
from storage import Store

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
    if not sources_with_champion(recipe):
        return {}
    store, champion = Store(recipe.store), registry_of(recipe).read().champion
    if (
        champion
        and (trained := store.find("train", champion.results["train"]))
        and (source := source_in(store, trained, "model"))
    ):
        return {ENCODER: source}
    if not recipe.model.name:
        index = sources_with_champion(recipe)[0]
        problem = f"download.sources.{index}.model is champion, but {registry_of(recipe).name} has no champion and no model.name"
        raise InputError(problem, "name an encoder in the source's model, or set model.name")
    digests = {part: model_sources.identity(recipe.model, part) for part in ("tokenizer", "weights", "sentences")}
    return {ENCODER: {"digest": content_digest(digests), "path": str(model_sources.resolve(recipe.model).absolute())}}


def sources_with_champion(recipe: Recipe) -> list[int]:
    """Return the numbers of the sources whose model is the champion."""
    return [
        index
        for index, source in enumerate(recipe.download.sources)
        if isinstance(source, (MineSource, DocumentsSource)) and source.model == CHAMPION
    ]


def check(recipe: Recipe) -> None:
    """Check that there is an encoder if a source needs the champion. Raises InputError if not."""
    if sources_with_champion(recipe) and not recipe.model.name:
        choose(recipe, {})
