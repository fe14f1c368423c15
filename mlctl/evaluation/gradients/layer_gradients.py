"""The gradient of a loss in each layer of an encoder, and the cosine of two such gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mlctl.modeling.freezing import find_layers

#: Gradients by layer, each (parameters,), from layer 1 on.
LayerGradients = Sequence[Tensor]


class Similarity(NamedTuple):
    """Cosine of two gradients in a layer (None: in all layers together; a gradient of length 0 has none), and their lengths."""

    layer: int | None
    cosine: float | None
    lengths: tuple[float, float]


def layer_gradients(encoder: Any, losses: Iterable[Tensor]) -> LayerGradients:
    """Return the gradient of a sum of losses in each layer of an encoder, on the CPU.

    The embeddings have none: losses that read different text change different rows of the table. Layers that share their weights
    (ALBERT's) are one.
    """
    found = find_layers(encoder)
    layers = [list(layer.parameters()) for layer in found.layers] if found else [_all_but_embeddings(encoder)]
    parameters = [parameter for layer in layers for parameter in layer]
    encoder.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    encoder.zero_grad()
    with torch.enable_grad():
        for loss in losses:
            loss.backward()  # type: ignore[no-untyped-call]
    gradients = [torch.cat([_gradient(parameter).flatten() for parameter in layer]).cpu() for layer in layers]
    encoder.zero_grad()
    return gradients


def similarities(first: LayerGradients, second: LayerGradients) -> list[Similarity]:
    """Return the cosine of two gradients in each layer, and at last in all layers together."""
    products = torch.stack([_products(*layer) for layer in zip(first, second, strict=True)])
    layers: list[int | None] = [*range(1, len(products) + 1), None]
    return [_similarity(layer, *row.tolist()) for layer, row in zip(layers, [*products, products.sum(0)], strict=True)]


def _products(first: Tensor, second: Tensor) -> Tensor:
    first, second = first.double(), second.double()
    return torch.stack([first @ first, first @ second, second @ second])


def _similarity(layer: int | None, first: float, product: float, second: float) -> Similarity:
    lengths = first**0.5, second**0.5
    return Similarity(layer, product / (lengths[0] * lengths[1]) if first and second else None, lengths)


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _all_but_embeddings(encoder: Any) -> list[Tensor]:
    table = encoder.get_input_embeddings().weight
    return [parameter for parameter in encoder.parameters() if parameter is not table]
