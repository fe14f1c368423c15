"""Module files for sentence-transformers beside a model, so that it makes the sentence vectors that mlctl trains and evaluates.

An encoder that is still pooled as it says itself keeps its own files, byte for byte: Dense and LayerNorm modules, which are not trained,
among them (pickled weights become safetensors). Otherwise the files are written: built-in modules only, so `trust_remote_code` is not
needed. If the last layer alone is pooled, Transformer and Pooling; else Transformer returns every
layer, and WeightedLayerPooling averages them with weights that are zero except for the pooled layers. The vectors are a fraction (of
two layers half) of those of `pooling.pool_sentences`, which does not change cosines. The names of modules and settings are the older ones,
which releases 5 and 6 of sentence-transformers both read.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from mlctl.modeling.model_files import is_pickle
from mlctl.modeling.sentence_config import (
    MODEL_CONFIG,
    TRANSFORMER_CONFIG,
    Pooling,
    SentenceConfig,
    read_sentence_config,
    sentence_files,
)
from mlctl.modeling.sentence_module_weights import as_safetensors
from mlctl.modeling.sentence_modules import MODULES, UnsupportedModuleError

_FLAGS = {
    "cls": "cls_token",
    "mean": "mean_tokens",
    "max": "max_tokens",
    "weightedmean": "weightedmean_tokens",
    "lasttoken": "lasttoken",
}


def write_modules(
    folder: Path,
    hidden: int,
    depth: int,
    max_length: int,
    pooling: Pooling,
    source: Path | None = None,
    start: Path | None = None,
    allow_pickle: bool = False,
) -> None:
    """Make `SentenceTransformer(folder)` work for a Hugging Face folder; no file that transformers reads changes.

    Args:
        folder: folder of the encoder and its tokenizer.
        hidden: size of the token states.
        depth: number of transformer layers of the encoder.
        max_length: tokens that encoder and tokenizer can take, special ones counted.
        pooling: how sentence vectors are made.
        source: folder of the encoder that was trained; its prompts, normalisation and maximum length are kept.
        start: folder of the encoder whose weights and pooling training started from; its files are kept if its pooling has modules.
        allow_pickle: whether the weights of their modules may be pickles.
    """
    published = _published(source, allow_pickle)
    if source and published and published.pooling == pooling:
        _copy_modules(source, folder, allow_pickle)
        return
    if start and (pooling.modules or len(pooling.modes) > 1):  # no explicit setting of layers has these
        _copy_modules(start, folder, allow_pickle)
        return
    names = ["Transformer"] + ["WeightedLayerPooling"] * (pooling.layers != (depth,)) + ["Pooling"]
    names += ["Normalize"] * (published is not None and published.normalize)
    paths = ["", *(f"{index}_{name}" for index, name in enumerate(names[1:], 1))]
    descriptions = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(zip(names, paths, strict=True))
    ]
    _write(folder / MODULES, descriptions)
    _write(folder / MODEL_CONFIG, _model_config(source if published else None))
    limit = min(max_length, published.max_length or max_length) if published else max_length
    layers = {"config_args": {"output_hidden_states": True}} if "WeightedLayerPooling" in names else {}
    _write(folder / TRANSFORMER_CONFIG, {"max_seq_length": limit, "do_lower_case": False, **layers})
    for kind, path in zip(names, paths, strict=True):
        if kind == "WeightedLayerPooling":
            _write_layers(folder / path, hidden, depth, pooling)
        if kind == "Pooling":
            (folder / path).mkdir()
            modes = {f"pooling_mode_{flag}": name == pooling.tokens for name, flag in _FLAGS.items()}
            _write(folder / path / "config.json", {"word_embedding_dimension": hidden, **modes})


def _copy_modules(source: Path, folder: Path, allow_pickle: bool) -> None:
    for name, file in sentence_files(source, allow_pickle).items():
        (folder / name).parent.mkdir(exist_ok=True)
        if is_pickle(file):
            (folder / name).with_name("model.safetensors").write_bytes(as_safetensors(file))
        else:
            shutil.copyfile(file, folder / name)


def _published(source: Path | None, allow_pickle: bool) -> SentenceConfig | None:
    try:
        return read_sentence_config(source, allow_pickle) if source else None
    except UnsupportedModuleError:  # the recipe sets the layers: it is exported without these modules
        return None


def _model_config(source: Path | None) -> dict[str, Any]:
    """Return prompts and similarity function of the encoder that was trained."""
    file = source / MODEL_CONFIG if source else None
    config = json.loads(file.read_text(encoding="utf-8")) if file and file.is_file() else {}
    names: dict[str, Any] = {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    return {name: config.get(name, default) for name, default in names.items()}


def _write_layers(folder: Path, hidden: int, depth: int, pooling: Pooling) -> None:
    folder.mkdir()
    _write(folder / "config.json", {"word_embedding_dimension": hidden, "layer_start": 1, "num_hidden_layers": depth})
    weights = torch.zeros(depth)  # of layers 1 and up: layer 0 is the embeddings
    weights[[layer - 1 for layer in pooling.layers]] = torch.tensor(pooling.weights or [1.0] * len(pooling.layers))
    save_file({"layer_weights": weights}, folder / "model.safetensors", metadata={"format": "pt"})


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
