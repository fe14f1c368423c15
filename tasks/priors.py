"""What word alignment reuses of earlier results: models to start from, and the encoder that the last run trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlctl.alignment import WITH_ENCODER, WITH_PRIORS
from mlctl.config import Model, Recipe
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from storage import Store, content_digest
from tasks import champions, reuse
from tasks.reuse import CHAMPION, LAST, NONE, Choice


def asked(recipe: Recipe) -> dict[str, str]:
    """Return the settings that say what is reused."""
    align = recipe.align
    return {"priors": align.priors if align.engine in WITH_PRIORS else NONE, "encoder": align.encoder}


def choose(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    """Return what there is to reuse now: `priors.<t>`, `encoder`.

    Raises:
        InputError: what the recipe names is not there.
    """
    return _priors(recipe, base) | (_encoder(recipe) if recipe.align.engine in WITH_ENCODER else {})


def check(recipe: Recipe) -> None:
    """Look, before anything runs, whether what the recipe names can be there.

    Raises:
        InputError: the engine needs an encoder and the recipe has none, or the folder of priors holds none.
    """
    if recipe.align.engine in WITH_ENCODER and recipe.align.encoder not in {LAST, CHAMPION}:
        model_sources.resolve(_model(recipe))
    if asked(recipe)["priors"] not in {LAST, NONE}:
        _given(recipe)


def _priors(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    wanted = asked(recipe)["priors"]
    if wanted == NONE:
        return {}
    return _last(recipe, base) if wanted == LAST else _given(recipe)


def _given(recipe: Recipe) -> Choice:
    return reuse.given(recipe, "priors", "align.priors", recipe.align.priors, "models/{}")


def _last(recipe: Recipe, base: Mapping[str, Any]) -> Choice:
    """Find for each target language the newest model that the same engine learned from other text."""
    results = (result for result in Store(recipe.store).results("align") if _fits(result.manifest.parts, base))
    return reuse.newest(recipe, "priors", "models/{}", results)


def _fits(parts: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
    """Tell whether a result was made by the same code and engine, from the same source language and other text."""
    same = all(parts["settings"][a][b] == base["settings"][a][b] for a, b in (("align", "engine"), ("languages", "source")))
    return parts["version"] == base["version"] and same and parts["inputs"] != base["inputs"]


def _encoder(recipe: Recipe) -> Choice:
    store = Store(recipe.store)
    if recipe.align.encoder == LAST:
        for result in store.results("train"):
            taken = reuse.taken_from(store, result, "model")
            if taken and store.find("train", result.manifest.key):
                return {"encoder": taken}
    if recipe.align.encoder == CHAMPION and (champion := champions.book(recipe).read().champion):
        trained = store.find("train", champion.results["train"])
        if trained and (taken := reuse.taken_from(store, trained, "model")):
            return {"encoder": taken}
    model = _model(recipe)
    digests = {what: model_sources.identity(model, what) for what in ("tokenizer", "weights")}
    return {"encoder": {"digest": content_digest(digests), "place": str(model_sources.resolve(model).absolute())}}


def _model(recipe: Recipe) -> Model:
    """Return the encoder that is named, or the recipe's own."""
    if recipe.align.encoder not in {"", LAST, CHAMPION}:
        return Model(name=recipe.align.encoder)
    if not recipe.model.name:
        last = "; nothing has been trained in this store yet" if recipe.align.encoder else ""
        raise InputError(
            f"align.engine={recipe.align.engine} needs an encoder, and the recipe's model is made from scratch{last}",
            "set align.encoder (or model.name) to a folder or hub name, or take align.engine=eflomal",
        )
    return recipe.model
