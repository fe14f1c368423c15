"""The files beside a model that tell sentence-transformers how mlctl makes vectors: the mean over tokens of some layers' sum.

Stock modules in a row do it, so nobody has to trust code from the folder: Transformer hands out every layer, WeightedLayerPooling
averages them with weights that are zero but for the layers in question (the first and the last), Pooling averages over the attended
tokens. The vectors are a share (half) of what `pooling.mean_tokens` gives, which no cosine sees. Names of modules and settings are the older ones, which releases 5 and 6 of
sentence-transformers both know.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from mlctl.modeling.pooling import FIRST_AND_LAST

#: Folder and class of the modules behind the encoder, in order.
_LAYERS, _TOKENS = ("1_WeightedLayerPooling", "WeightedLayerPooling"), ("2_Pooling", "Pooling")
_WEIGHTS = "model.safetensors"


def write_modules(folder: Path, hidden: int, layers: int, max_length: int, places: Sequence[int] = FIRST_AND_LAST) -> None:
    """Make `SentenceTransformer(folder)` work for a Hugging Face folder; nothing that transformers reads changes.

    Args:
        folder: where the encoder and its tokenizer lie.
        hidden: size of the token states.
        layers: how many transformer layers the encoder has.
        max_length: tokens of a sentence, special ones counted, behind which it is cut.
        places: of the layers that are pooled, as `pooling.places_of` returns them.
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
    _write_layers(folder / _LAYERS[0], hidden, layers, places)
    (folder / _TOKENS[0]).mkdir()
    _write(folder / _TOKENS[0] / "config.json", {"word_embedding_dimension": hidden, **_MEAN})


_MEAN = {
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
}


def read_places(folder: Path) -> tuple[int, ...]:
    """Return the places of the layers that `write_modules` noted in a folder; the first and the last where it noted none."""
    file = folder / _LAYERS[0] / _WEIGHTS
    if not file.is_file():
        return FIRST_AND_LAST
    weights = load_file(file)["layer_weights"]
    places = tuple((weights.nonzero().flatten() + 1).tolist())
    return FIRST_AND_LAST if set(places) == {1, len(weights)} else places


def _write_layers(folder: Path, hidden: int, layers: int, places: Sequence[int]) -> None:
    folder.mkdir()
    _write(folder / "config.json", {"word_embedding_dimension": hidden, "layer_start": 1, "num_hidden_layers": layers})
    weights = torch.zeros(layers)  # of the layers from 1 on: 0 is what goes into the first
    weights[[place - 1 if place > 0 else place for place in places]] = 1
    save_file({"layer_weights": weights}, folder / _WEIGHTS, metadata={"format": "pt"})


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
