"""Module files for sentence-transformers beside a model, so that it pools as mlctl does: the mean over tokens of a sum of layers.

They use only built-in modules, so `trust_remote_code` is not needed: Transformer returns every layer, WeightedLayerPooling averages
them with weights that are zero except for the pooled layers (by default the first and the last), Pooling averages over the attended
tokens. The vectors are a fraction (half) of those of `pooling.mean_pool`, which does not change cosines. The names of modules and
settings are the older ones, which releases 5 and 6 of sentence-transformers both read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from mlctl.modeling.pooling import FIRST_AND_LAST

#: Folder and class of the modules after the encoder, in order.
_LAYERS, _TOKENS = ("1_WeightedLayerPooling", "WeightedLayerPooling"), ("2_Pooling", "Pooling")
_WEIGHTS = "model.safetensors"


def write_modules(folder: Path, hidden: int, depth: int, max_length: int, layers: Sequence[int] = FIRST_AND_LAST) -> None:
    """Make `SentenceTransformer(folder)` work for a Hugging Face folder; no file that transformers reads changes.

    Args:
        folder: folder of the encoder and its tokenizer.
        hidden: size of the token states.
        depth: number of transformer layers of the encoder.
        max_length: length in tokens, special ones counted, to which sentences are truncated.
        layers: the pooled layers, as `pooling.layer_indices` returns them.
    """
    modules = [("", "Transformer"), _LAYERS, _TOKENS]
    descriptions = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(modules)
    ]
    _write(folder / "modules.json", descriptions)
    _write(
        folder / "config_sentence_transformers.json", {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    )
    every_layer = {"output_hidden_states": True}
    _write(
        folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False, "config_args": every_layer}
    )
    _write_layers(folder / _LAYERS[0], hidden, depth, layers)
    (folder / _TOKENS[0]).mkdir()
    _write(folder / _TOKENS[0] / "config.json", {"word_embedding_dimension": hidden, **_MEAN})


_MEAN = {
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
}


def read_pooled_layers(folder: Path) -> tuple[int, ...]:
    """Return the pooled layers that `write_modules` stored in a folder; the first and the last if there are none."""
    file = folder / _LAYERS[0] / _WEIGHTS
    if not file.is_file():
        return FIRST_AND_LAST
    weights = load_file(file)["layer_weights"]
    layers = tuple((weights.nonzero().flatten() + 1).tolist())
    return FIRST_AND_LAST if set(layers) == {1, len(weights)} else layers


def _write_layers(folder: Path, hidden: int, depth: int, layers: Sequence[int]) -> None:
    folder.mkdir()
    _write(folder / "config.json", {"word_embedding_dimension": hidden, "layer_start": 1, "num_hidden_layers": depth})
    weights = torch.zeros(depth)  # of layers 1 and up: layer 0 is the embeddings
    weights[[layer - 1 if layer > 0 else layer for layer in layers]] = 1
    save_file({"layer_weights": weights}, folder / _WEIGHTS, metadata={"format": "pt"})


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
