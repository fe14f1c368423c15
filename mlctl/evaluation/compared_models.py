"""The models that are compared: the base model as it was published, the base model with the trained model's pooling, the trained model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlctl.config import Evaluate, Model
from mlctl.errors import InputError
from mlctl.evaluation.base_model import BaseModel, base_model, with_prefix
from mlctl.evaluation.evaluation_job import ComparedModel
from mlctl.evaluation.model_under_test import ModelDigests
from mlctl.evaluation.statistics.model_comparison import BASE, SAME_POOLING, TRAINED
from mlctl.modeling.model_sources import resolve
from mlctl.modeling.sentence_config import Pooling, SentenceConfig, encoder_depth, read_sentence_config


def open_models(
    settings: Evaluate,
    model: Model,
    trained: Path,
    tokenizer: Path,
    base_encoder: Path | None,
    search: Callable[[Path], Pooling | None],
) -> tuple[BaseModel, tuple[ComparedModel, ...]]:
    """Return how the base model makes sentence vectors, and the models; no weights are loaded.

    Args:
        settings: pooling and prompt.
        model: the encoder that training started from, if `trained/base` does not exist.
        trained: result of the train stage.
        tokenizer: folder of the shards' tokenizer.
        base_encoder: replaces the encoder that training started from.
        search: returns the best pooling of the base model in a folder, see `base_model`.

    Raises:
        InputError: there is no trained model, or no base model.
    """
    folder = _trained_encoder(trained)
    sentences = _trained_sentences(folder)
    base_folder = base_encoder or _base_encoder(model, trained)
    base = base_model(settings, base_folder, trained, sentences, lambda: search(base_folder), model.allow_pickle)
    digests = {path: ModelDigests.read(path, tokenizer) for path in (base_folder, folder)}

    def open_model(name: str, path: Path, config: SentenceConfig, pooling: str | int) -> ComparedModel:
        values: dict[str, Any] = {"sentences": with_prefix(config, settings.prefix), "pooling": pooling, "digests": digests[path]}
        return ComparedModel(name=name, folder=path, **values)

    return base, (
        open_model(BASE, base_folder, base.sentences, "auto" if base.has_own else settings.pooling),
        open_model(SAME_POOLING, base_folder, sentences, settings.pooling),
        open_model(TRAINED, folder, sentences, settings.pooling),
    )


def _trained_encoder(trained: Path) -> Path:
    if not (trained / "model").is_dir():
        raise InputError(f"no trained model at {trained / 'model'}", "run the train stage")
    return trained / "model"


def _base_encoder(model: Model, trained: Path) -> Path:
    from_scratch = trained / "base"
    return from_scratch if from_scratch.is_dir() else resolve(model)


def _trained_sentences(folder: Path) -> SentenceConfig:
    """Return how the trained model makes sentence vectors."""
    config = read_sentence_config(folder)
    return config or SentenceConfig(Pooling(tuple(sorted({1, encoder_depth(folder)}))))
