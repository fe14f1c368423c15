"""The layers of an encoder, and freezing the lowest of them, so that training does not change them."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from mlctl.errors import InputError


class LayerList(NamedTuple):
    """The layers (transformer blocks) of an encoder, from the lowest on, and the module and attribute that hold them."""

    layers: nn.ModuleList
    parent: nn.Module
    attribute: str


def find_layers(model: Any) -> LayerList | None:
    """Return the layers of an encoder; None: it has no module for each (ALBERT's layers share their weights)."""
    depth = int(model.config.num_hidden_layers)
    for module in model.modules():
        for name, part in module.named_children():
            if isinstance(part, nn.ModuleList) and len(part) == depth:
                return LayerList(part, module, name)
    return None


def freeze(model: Any, layers: int, embeddings: bool) -> None:
    """Exclude the lowest layers, and the embeddings, from training: their weights get no gradient.

    Args:
        model: a Hugging Face encoder, or a masked-language model on one.
        layers: number of layers.
        embeddings: whether the embeddings of tokens, positions and types, and their normalisation, are frozen as well. A masked-LM head
            that shares the token embeddings is then frozen in that part.

    Raises:
        InputError: the encoder has fewer layers, or none of its own, or nothing of it would be trained.
    """
    encoder, depth = model.base_model, int(model.config.num_hidden_layers)
    if layers > depth or (layers == depth and embeddings):
        raise InputError(
            f"train.frozen_layers is {layers}, but the encoder has {depth} layers",
            f"freeze fewer than {depth}, so that some are trained",
        )
    if layers:
        found = find_layers(encoder)
        if found is None:
            raise InputError(
                f"the layers of {type(encoder).__name__} share their weights and cannot be frozen apart",
                "set train.frozen_layers=0",
            )
        for layer in found.layers[:layers]:
            layer.requires_grad_(False)
    if embeddings:
        model.get_input_embeddings().requires_grad_(False)
        if isinstance(getattr(encoder, "embeddings", None), nn.Module):
            encoder.embeddings.requires_grad_(False)
