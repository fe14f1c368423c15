"""The models that each stage of a recipe reads, by the setting that names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlctl.config import DocumentsSource, MineSource, Model, Recipe
from mlctl.config.align import WITH_ENCODER
from mlctl.config.base import CHAMPION
from mlctl.config.translate import NEURAL_BACKENDS
from mlctl.modeling.hub_access import is_cached
from mlctl.pipeline import score_models
from mlctl.pipeline.warm_start import LAST


def models_of(recipe: Recipe, stage: str) -> Iterator[tuple[str, Model]]:
    """Yield the setting and the model of each model that a stage reads. What earlier runs trained is left out."""
    model, align = recipe.model, recipe.align
    if stage == "download":
        yield from _source_encoders(recipe)
    if stage == "clean":
        yield from score_models.named_models(recipe)
        if score_models.requested(recipe) and model.name:  # the champion's place, as long as there is none
            yield "model.name", model
    if stage == "align" and align.engine in WITH_ENCODER and align.encoder not in {"", LAST, CHAMPION}:
        yield "align.encoder", Model(name=align.encoder, allow_pickle=model.allow_pickle)
    elif (stage == "align" and align.engine in WITH_ENCODER) or stage in {"shard", "train", "evaluate"}:
        yield from _encoder(model)
    if stage == "train" and model.start:
        yield "model.start", Model(name=model.start, allow_pickle=model.allow_pickle)


def is_local(recipe: Recipe, stage: str) -> bool:
    """Return whether all models that a stage reads are on this machine."""
    models = [model for _, model in models_of(recipe, stage)]
    translate = recipe.translate
    if stage == "translate" and translate.backend in NEURAL_BACKENDS:
        names = {translate.model_for(recipe.languages.source, target) for target in recipe.languages.targets}
        models += [Model(name=name, revision=translate.revision) for name in names]
    return all(Path(model.name).expanduser().is_dir() or is_cached(model.name, model.revision) for model in models)


def _source_encoders(recipe: Recipe) -> Iterator[tuple[str, Model]]:
    for index, source in enumerate(recipe.download.sources):
        if isinstance(source, (MineSource, DocumentsSource)):
            setting = f"download.sources.{index}.model"
            if source.model != CHAMPION:
                yield setting, Model(name=source.model, revision=source.revision)
            elif recipe.model.name:  # until there is a champion
                yield setting, recipe.model


def _encoder(model: Model) -> Iterator[tuple[str, Model]]:
    if model.name:
        yield "model.name", model
    elif model.scratch.tokenizer:
        yield "model.scratch.tokenizer", Model(name=model.scratch.tokenizer, allow_pickle=model.allow_pickle)
