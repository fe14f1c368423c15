"""Writing a trained model as a Hugging Face folder.

A model that started from another keeps all of it that was not trained: pooler, unused heads, the class that its configuration names,
the type of its weights. Nothing is added that was not trained.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mlctl.modeling.architectures import is_encoder_of_t5
from mlctl.modeling.encoders import load_tokenizer, max_positions, quiet
from mlctl.modeling.model_files import weight_files
from mlctl.modeling.model_sources import tokenizer_files
from mlctl.modeling.sentence_config import Pooling
from mlctl.modeling.sentence_transformers_export import write_modules

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_LEGACY_NAMES = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))
_NOT_TRAINED = "pooler."  # of an encoder: no loss reaches it


def save_model(
    model: Any,
    tokenizer: Path,
    folder: Path,
    pooling: Pooling,
    source: Path | None = None,
    start: Path | None = None,
    allow_pickle: bool = False,
) -> None:
    """Write a Hugging Face folder: weights (safetensors), configuration, the tokenizer's files, modules for sentence-transformers.

    The bytes depend on the weights, the pooling, the source and the library's version alone.

    Args:
        model: an encoder, or a masked-language model.
        tokenizer: folder of its tokenizer.
        folder: output folder.
        pooling: how sentence vectors are made.
        source: folder of the model that was trained; None: a model from scratch.
        start: folder of the model whose weights and pooling training started from; None: the source.
        allow_pickle: whether the weights of their modules may be pickles.
    """
    folder.mkdir(parents=True)
    weights = _trained_source(model, source) if source and not is_encoder_of_t5(model) else None
    if source is None or weights is None:
        with quiet():
            model.save_pretrained(folder)
    else:
        save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})
        _write_config(model, source, folder)
    for file in tokenizer_files(tokenizer):
        shutil.copyfile(file, folder / file.name)
    limit = int(min(max_positions(model), load_tokenizer(tokenizer).model_max_length))
    sizes = (model.config.hidden_size, model.config.num_hidden_layers, limit)
    write_modules(folder, *sizes, pooling, source, start, allow_pickle)


def has_trained_head(model: Any) -> bool:
    """Return whether a model has a head on top of its encoder."""
    return model.base_model is not model


def _trained_source(model: Any, source: Path) -> dict[str, Tensor] | None:
    """Return the source's weights with those of the trained model in place of its own; None if their names have no counterpart.

    Names are the source's; if a head is added to a bare encoder, those of the model with the head.
    """
    weights = read_weights(source)
    prefix = f"{model.base_model_prefix}."
    encoder = model.base_model.state_dict()
    prefixed = any(name.startswith(prefix) and name.removeprefix(prefix) in encoder for name in weights)
    if has_trained_head(model) and not prefixed:
        weights, prefixed = {prefix + name: value for name, value in weights.items()}, True
    trained = {(prefix if prefixed else "") + name: value for name, value in encoder.items()}
    missing = [name for name in trained if name not in weights and _NOT_TRAINED not in name]
    if missing:
        return None
    weights = _without_copies(weights, trained, model, prefix if prefixed else "")
    dtype = next(value.dtype for name, value in weights.items() if name in trained)
    for name, value in trained.items():
        if name in weights:
            weights[name] = value.detach().to("cpu", weights[name].dtype)
    if has_trained_head(model):
        weights |= {name: value.detach().to("cpu", dtype) for name, value in _head(model).items()}
    return {name: value.contiguous() for name, value in sorted(weights.items())}


def _head(model: Any) -> dict[str, Tensor]:
    """Return the weights of the head, each once: not those that it shares with the encoder."""
    seen = {value.data_ptr() for value in model.base_model.state_dict().values()}
    head: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if not name.startswith(f"{model.base_model_prefix}.") and value.data_ptr() not in seen:
            seen.add(value.data_ptr())
            head[name] = value
    return head


def _without_copies(weights: dict[str, Tensor], trained: Mapping[str, Tensor], model: Any, prefix: str) -> dict[str, Tensor]:
    """Leave out stored copies of the input embeddings (a tied output layer): they would no longer be equal to them."""
    table = model.get_input_embeddings().weight
    names = [prefix + name for name, value in model.base_model.state_dict().items() if value.data_ptr() == table.data_ptr()]
    own = next((weights[name] for name in names if name in weights), None)

    def is_copy(name: str, value: Tensor) -> bool:
        return name not in trained and own is not None and value.shape == own.shape and torch.equal(value, own)

    return {name: value for name, value in weights.items() if not is_copy(name, value)}


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Return the weights of a model's files by their present names."""
    weights: dict[str, Tensor] = {}
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            weights |= load_file(file)
        elif file.suffix == ".bin":
            weights |= torch.load(file, map_location="cpu", weights_only=True)
    return {_present_name(name): value.clone() for name, value in weights.items()}


def _present_name(name: str) -> str:
    for old, new in _LEGACY_NAMES:
        name = name.replace(old, new)
    return name


def _write_config(model: Any, source: Path, folder: Path) -> None:
    """Write the source's configuration; the class of a model whose head was trained is named in it."""
    shutil.copyfile(source / _CONFIG, folder / _CONFIG)
    config = json.loads((source / _CONFIG).read_text(encoding="utf-8"))
    if has_trained_head(model) and type(model).__name__ not in (config.get("architectures") or ()):
        config["architectures"] = [type(model).__name__]
        (folder / _CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
