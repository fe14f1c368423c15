"""What word alignment starts from: models of earlier runs (priors), and the encoder that the last run trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlctl.config import Model, Recipe
from mlctl.config.align import WITH_ENCODER, WITH_PRIORS
from mlctl.config.base import CHAMPION
from mlctl.core.hashing import content_digest
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.pipeline.champion import registry_of
from mlctl.pipeline.warm_start import LAST, NONE, Choice, from_folder, newest, source_in
from storage import Store

_PATH = "models/{}"


def requested(recipe: Recipe) -> dict[str, str]:
    """Return the settings that say what is reused."""
    align = recipe.align
    return {"priors": align.priors if align.engine in WITH_PRIORS else NONE, "encoder": align.encoder}


def choose(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    """Return what is available now: `priors.<t>` by target language, and `encoder`.

    Raises:
        InputError: what the recipe names is missing.
    """
    return _priors(recipe, base) | (_encoder(recipe) if recipe.align.engine in WITH_ENCODER else {})


def check(recipe: Recipe) -> None:
    """Check that the recipe names an encoder if its aligner needs one, and that the folder of priors has some.

    Raises:
        InputError: the aligner needs an encoder and the recipe has none, or the folder of priors has none.
    """
    if recipe.align.engine in WITH_ENCODER and recipe.align.encoder not in {LAST, CHAMPION}:
        _model(recipe)
    if requested(recipe)["priors"] not in {LAST, NONE}:
        _priors_of_folder(recipe)


def _priors(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    setting = requested(recipe)["priors"]
    if setting == NONE:
        return {}
    return _last_priors(recipe, base) if setting == LAST else _priors_of_folder(recipe)


def _priors_of_folder(recipe: Recipe) -> Choice:
    return from_folder(recipe, "priors", "align.priors", recipe.align.priors, _PATH)


def _last_priors(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    """Find for each target language the newest model that the same aligner learned from other text."""
    results = (result for result in Store(recipe.store).results("align") if _is_usable(result.manifest.parts, base))
    return newest(recipe, "priors", _PATH, results)


def _is_usable(parts: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
    """Return whether a result was made by the same code and aligner, from the same source language and other text."""
    same = all(parts["settings"][a][b] == base["settings"][a][b] for a, b in (("align", "engine"), ("languages", "source")))
    return parts["version"] == base["version"] and same and parts["inputs"] != base["inputs"]


def _encoder(recipe: Recipe) -> Choice:
    store = Store(recipe.store)
    if recipe.align.encoder == LAST:
        for result in store.results("train"):
            source = source_in(store, result, "model")
            if source and store.find("train", result.manifest.key):
                return {"encoder": source}
    if recipe.align.encoder == CHAMPION and (champion := registry_of(recipe).read().champion):
        trained = store.find("train", champion.results["train"])
        if trained and (source := source_in(store, trained, "model")):
            return {"encoder": source}
    model, setting = _model(recipe)
    digests = {part: model_sources.identity(model, part, setting) for part in ("tokenizer", "weights")}
    return {"encoder": {"digest": content_digest(digests), "path": str(model_sources.resolve(model, setting).absolute())}}


def _model(recipe: Recipe) -> tuple[Model, str]:
    """Return the encoder that `align.encoder` names, or the recipe's model, and the setting that names it."""
    if recipe.align.encoder not in {"", LAST, CHAMPION}:
        return Model(name=recipe.align.encoder, allow_pickle=recipe.model.allow_pickle), "align.encoder"
    if not recipe.model.name:
        reason = "; nothing has been trained in this store yet" if recipe.align.encoder else ""
        raise InputError(
            f"align.engine={recipe.align.engine} needs an encoder, and the recipe's model is made from scratch{reason}",
            "set align.encoder (or model.name) to a folder or hub name, or use align.engine=eflomal",
        )
    return recipe.model, "model.name"
