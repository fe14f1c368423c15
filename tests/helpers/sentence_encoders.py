"""Modules of sentence-transformers beside an encoder in a folder, as its releases write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

TANH = "torch.nn.modules.activation.Tanh"
OLD = "sentence_transformers.models."


def put(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value), encoding="utf-8")


def list_modules(folder: Path, kinds: Sequence[str]) -> list[Path]:
    """Write `modules.json` with modules of these kinds, or of these full names, and return their folders."""
    types = [kind if "." in kind else f"{OLD}{kind}" for kind in kinds]
    paths = ["" if kind == "Transformer" else f"{number}_{kind.rpartition('.')[2]}" for number, kind in enumerate(kinds)]
    entries = [{"idx": n, "name": str(n), "path": p, "type": t} for n, (p, t) in enumerate(zip(paths, types, strict=True))]
    put(folder / "modules.json", entries)
    return [folder / path for path in paths]


def write_pooling(module: Path, size: int, *modes: str) -> None:
    put(module / "config.json", {"word_embedding_dimension": size, **{f"pooling_mode_{mode}": True for mode in modes}})


def write_dense(
    module: Path, size: int, target: int, seed: int = 0, pickled: bool = False, **config: Any
) -> dict[str, torch.Tensor]:
    """Write a Dense module with random weights, and return them."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    weights = {"linear.weight": torch.randn(target, size, generator=generator) / size**0.5}
    if config.get("bias", True):
        weights["linear.bias"] = torch.randn(target, generator=generator)
    put(
        module / "config.json",
        {"in_features": size, "out_features": target, "bias": True, "activation_function": TANH, **config},
    )
    if pickled:
        torch.save(weights, module / "pytorch_model.bin")
    else:
        save_file(weights, module / "model.safetensors")
    return weights


def publish_with_dense(
    folder: Path, size: int, target: int, mode: str = "cls_token", normalize: bool = False, pickled: bool = False, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Give the encoder in a folder the modules of LaBSE (`cls_token`, `normalize`) or of distiluse; return the weights of Dense."""
    _, pooling, dense, *_ = list_modules(folder, ["Transformer", "Pooling", "Dense", *(["Normalize"] if normalize else [])])
    write_pooling(pooling, size, mode)
    return write_dense(dense, size, target, seed, pickled)
