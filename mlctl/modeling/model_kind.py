"""The kind of the model that a recipe trains, from the files of its folder: weights are not loaded. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlctl.config import Model, ModelKind, ResolvedTrain, ScratchModel, Train, resolve_train
from mlctl.modeling import model_sources
from mlctl.modeling.model_files import read_config
from mlctl.modeling.sentence_config import is_sentence_encoder

_MASKED_LM_CLASSES = ("ForMaskedLM", "ForPreTraining", "WithLMHeadModel")  # ends of transformers' names


def resolved_settings(settings: Train, model: Model) -> ResolvedTrain:
    """Return the recipe's training settings with the defaults of its kind of model where they are null.

    Raises:
        InputError: see `model_kind`.
    """
    return resolve_train(settings, model_kind(model))


def model_kind(model: Model) -> ModelKind:
    """Return the kind of model that training starts from.

    Raises:
        InputError: the recipe names a model that is missing or unusable.
    """
    start = None if model.name else model_sources.start_model(model)
    if not model.name and start is None:
        return "scratch"
    folder = model_sources.resolve_config(start, "model.start") if start else model_sources.resolve_config(model)
    config = read_config(folder)
    if start and _is_scratch(config, model.scratch):
        return "scratch"
    if is_sentence_encoder(folder) or not _has_masked_lm_head(config):
        return "sentence-encoder"
    return "masked-lm"


def _is_scratch(config: Mapping[str, Any], geometry: ScratchModel) -> bool:
    """Return whether a configuration is that of a model which the recipe's geometry makes: `model.start` of re-training."""
    sizes = (config.get("hidden_size"), config.get("num_hidden_layers"), config.get("intermediate_size"))
    return config.get("model_type") == "bert" and sizes == (geometry.hidden, geometry.layers, geometry.feed_forward)


def _has_masked_lm_head(config: Mapping[str, Any]) -> bool:
    classes = config.get("architectures")
    return isinstance(classes, list) and any(str(name).endswith(_MASKED_LM_CLASSES) for name in classes)
