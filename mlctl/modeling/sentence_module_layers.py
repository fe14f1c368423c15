"""The modules behind the pooling as torch modules: from the pooled vectors of an encoder to its sentence vectors.

They are not trained: the encoder in front of them is, so their weights are exported as they were published.

Symbols: N sentences, H size of the pooled vector, O size of the sentence vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlctl.errors import InputError
from mlctl.modeling.sentence_config import Pooling
from mlctl.modeling.sentence_module_weights import read_tensors, weights_file
from mlctl.modeling.sentence_modules import SentenceModule


class Dense(nn.Module):
    """A linear layer with an activation, and optionally the vector itself added to its output, as in sentence-transformers."""

    def __init__(self, module: SentenceModule, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        size, target = module.in_features, module.out_features
        self.linear = _linear(size, target, "linear.bias" in weights)
        self.activation: nn.Module = getattr(nn, module.activation)()
        self.has_residual = module.residual
        self.residual = _linear(size, target, False) if module.residual and size != target else nn.Identity()
        self.load_state_dict(dict(weights))

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (N, in_features) to (N, out_features)."""
        output: Tensor = self.activation(self.linear(vectors))
        return output + self.residual(vectors) if self.has_residual else output


class Normalize(nn.Module):
    """Scaling to length 1."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Map (N, H) to (N, H)."""
        return functional.normalize(vectors, dim=1)


def load_sentence_modules(folder: Path | None, pooling: Pooling, hidden: int) -> nn.Module:
    """Return the modules of a pooling, fp32 and frozen: from (N, H) to (N, O); the identity if it has none.

    Args:
        folder: folder of the encoder beside which they are.
        pooling: the encoder's.
        hidden: size of the encoder's states.

    Raises:
        InputError: weights are damaged or not finite, or read vectors of another size than the pooled ones.
    """
    pooled = pooling._replace(modules=()).vector_size(hidden)
    reader = next((module for module in pooling.modules if module.in_features), None)
    if reader and reader.in_features != pooled:
        raise InputError(
            f"{cast(Path, folder) / reader.path} reads vectors of {reader.in_features} dimensions, but those of the pooling have {pooled}",
            "modules and encoder belong to different models: download or save the model again",
        )
    modules = nn.Sequential(*(_load(cast(Path, folder), module) for module in pooling.modules))
    return modules.requires_grad_(False).eval()


def _linear(size: int, target: int, bias: bool) -> nn.Linear:
    """Return a linear layer whose weights are not set, so that no random numbers are drawn."""
    return nn.utils.skip_init(nn.Linear, size, target, bias=bias)  # type: ignore[no-untyped-call, no-any-return]


def _load(folder: Path, module: SentenceModule) -> nn.Module:
    if module.kind == "Normalize":
        return Normalize()
    file = weights_file(folder / module.path)
    weights = {name: tensor.to(torch.float32) for name, tensor in read_tensors(file).items()}
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"{file}: {name} has NaN or infinite values", "the model is damaged: name another one")
    if module.kind == "Dense":
        return Dense(module, weights)
    norm = nn.LayerNorm(module.in_features)
    norm.load_state_dict({name.removeprefix("norm."): tensor for name, tensor in weights.items()})
    return norm
