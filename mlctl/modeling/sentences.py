"""The files beside a model that tell sentence-transformers how mlctl makes vectors: the mean over tokens of first plus last layer.

Stock modules in a row do it, so nobody has to trust code from the folder: Transformer hands out every layer, WeightedLayerPooling
averages them with weights that are zero but for the first and the last, Pooling averages over the attended tokens. The vectors are
half of what `pooling.mean_tokens` gives, which no cosine sees. Names of modules and settings are the older ones, which releases 5 and 6 of
sentence-transformers both know.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

#: Folder and class of the modules behind the encoder, in order.
_LAYERS, _TOKENS = ("1_WeightedLayerPooling", "WeightedLayerPooling"), ("2_Pooling", "Pooling")


def write_modules(folder: Path, hidden: int, layers: int, max_length: int) -> None:
    """Make `SentenceTransformer(folder)` work for a Hugging Face folder; nothing that transformers reads changes.

    Args:
        folder: where the encoder and its tokenizer lie.
        hidden: size of the token states.
        layers: how many transformer layers the encoder has.
        max_length: tokens of a sentence, special ones counted, behind which it is cut.
    """
    modules = [("", "Transformer"), _LAYERS, _TOKENS]
    described = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(modules)
    ]
    _write(folder / "modules.json", described)
    _write(
        folder / "config_sentence_transformers.json", {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    )
    every_layer = {"output_hidden_states": True}
    _write(
        folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False, "config_args": every_layer}
    )
    _write_layers(folder / _LAYERS[0], hidden, layers)
    (folder / _TOKENS[0]).mkdir()
    _write(folder / _TOKENS[0] / "config.json", {"word_embedding_dimension": hidden, **_MEAN})


_MEAN = {
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
}


def _write_layers(folder: Path, hidden: int, layers: int) -> None:
    folder.mkdir()
    _write(folder / "config.json", {"word_embedding_dimension": hidden, "layer_start": 1, "num_hidden_layers": layers})
    weights = torch.zeros(layers)  # of the layers from 1 on: 0 is what goes into the first
    weights[0] = weights[-1] = 1
    save_file({"layer_weights": weights}, folder / "model.safetensors", metadata={"format": "pt"})


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
