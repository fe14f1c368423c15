"""The base model that the trained one is compared with: as it was published, with its own pooling, prompt and maximum length."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlctl.config import Evaluate
from mlctl.modeling.sentence_config import (
    Pooling,
    SentenceConfig,
    describe_pooling,
    encoder_depth,
    is_sentence_encoder,
    read_sentence_config,
)
from mlctl.modeling.sentence_modules import UnsupportedModuleError

if TYPE_CHECKING:
    import torch

_POOLING_FILE = "pooling.json"  # of the train stage
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BaseModel:
    """How the base model makes sentence vectors.

    Attributes:
        sentences: its pooling, prompt and maximum length.
        origin: where they come from: "modules.json", "last layer" (a sentence encoder without that file), "search" (the best on training
            pairs, for a masked-language model), "scratch" or "trained" (those of the trained model: it has none that mlctl can use).
        problem: why its own cannot be used, if so.
    """

    sentences: SentenceConfig
    origin: str
    problem: str = ""

    @property
    def has_own(self) -> bool:
        """Whether the base model has its own way to sentence vectors, whatever the trained model's is."""
        return self.origin in {"modules.json", "last layer", "search"}

    @property
    def is_published(self) -> bool:
        """Whether these are the sentence vectors that the base model was published for."""
        return self.origin in {"modules.json", "last layer"}


def base_model(
    settings: Evaluate,
    folder: Path,
    trained: Path,
    trained_sentences: SentenceConfig,
    search: Callable[[], Pooling | None],
    allow_pickle: bool = False,
) -> BaseModel:
    """Return how the base model in `folder` makes sentence vectors.

    Args:
        settings: a masked-language model has a pooling of its own unless `pooling` sets one for both models.
        folder: the base model; below `trained` if it was made from scratch.
        trained: result of the train stage.
        trained_sentences: of the trained model.
        search: returns the best pooling of the base model on dev pairs; called for a masked-language model whose pooling nothing sets.
        allow_pickle: whether the weights of its modules may be pickles.
    """
    if folder.parent == trained:
        return BaseModel(trained_sentences, "scratch")
    try:
        published = read_sentence_config(folder, allow_pickle)
    except UnsupportedModuleError as error:
        _log.warning("%s: the base model is not evaluated as it was published", error.problem)
        return BaseModel(trained_sentences, "trained", error.problem)
    if published:
        _warn_of_similarity(folder, published)
        return BaseModel(published, "modules.json")
    if is_sentence_encoder(folder):
        return BaseModel(SentenceConfig(Pooling((encoder_depth(folder),))), "last layer")
    return _masked_language_model(settings, trained, trained_sentences, search)


def with_prefix(sentences: SentenceConfig, prefix: str | None) -> SentenceConfig:
    """Return sentence vectors with the prompt that `evaluate.prefix` sets; None: the model's own."""
    return sentences if prefix is None else replace(sentences, prompt=prefix)


def _masked_language_model(
    settings: Evaluate, trained: Path, trained_sentences: SentenceConfig, search: Callable[[], Pooling | None]
) -> BaseModel:
    """Return the best pooling of a base model that says nothing: that which training searched, or one that is searched now."""
    if _searched(trained):
        return BaseModel(trained_sentences, "search")
    if settings.pooling != "auto":
        return BaseModel(trained_sentences, "trained")
    pooling = search()
    if pooling is None:
        return BaseModel(trained_sentences, "trained")
    _log.info("base: %s is the best pooling on dev pairs", describe_pooling(pooling))
    return BaseModel(replace(trained_sentences, pooling=pooling), "search")


def _searched(trained: Path) -> bool:
    file = trained / _POOLING_FILE
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found.get("origin") == "search"


def search_pooling_of_base(device: torch.device, folder: Path, sharded: Path) -> Pooling | None:
    """Return the best pooling of the base model in a folder on the dev pairs of a shard result; None: there are no pairs."""
    from mlctl.modeling.dev_set import read_dev_pairs
    from mlctl.modeling.encoders import load_encoder, load_tokenizer
    from mlctl.modeling.pooling_choice import search_pooling

    dev = read_dev_pairs(sharded)
    if not dev:
        return None
    pooling, _ = search_pooling(load_encoder(folder).to(device), load_tokenizer(sharded / "tokenizer").pad_token_id, dev)
    return pooling


def _warn_of_similarity(folder: Path, published: SentenceConfig) -> None:
    if published.similarity not in {"cosine", "cos_sim"} and not published.normalize:
        _log.warning("%s is published with the similarity %s; all models are evaluated by cosine", folder, published.similarity)
