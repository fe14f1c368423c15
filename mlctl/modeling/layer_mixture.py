"""Heads that read a learned mixture of all layers of an encoder instead of its last one.

The mixture is the scalar mix of Peters et al. 2018 (arXiv 1802.05365, equation 1 with γ = 1). That zero-shot transfer gains from lower
layers, too, is the finding of Chen et al. 2022 (arXiv 2205.08497), who combine them by attention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

#: Name of the mixture among the modules of a model with a head.
MIXTURE = "layer_mixture"


class LayerMixture(nn.Module):
    """Σ_l softmax(s)_l h_l over the states h_0 (embeddings) to h_L of an encoder; it begins as their mean (s = 0).

    Args:
        layers: L.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(layers + 1))

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """Return the mixture of L + 1 states (B, T, H), (B, T, H)."""
        shares = self.logits.softmax(0)
        return torch.stack([share * state for share, state in zip(shares, states, strict=True)]).sum(0)


def mix_layers(model: Any) -> None:
    """Let the head of a Hugging Face model read a `LayerMixture` of its encoder's states, in place.

    The mixture is the module `MIXTURE` of the model. A pooler between encoder and head pools the mixture.

    Args:
        model: a model with a head, such as AutoModelForTokenClassification.
    """
    mixture = LayerMixture(int(model.config.num_hidden_layers)).to(model.device)
    model.add_module(MIXTURE, mixture)

    def ask_for_states(encoder: Any, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        del encoder
        return arguments, {**named, "output_hidden_states": True, "return_dict": True}

    def mix(encoder: Any, arguments: tuple[Any, ...], output: Any) -> Any:
        del arguments
        output.last_hidden_state = mixture(output.hidden_states)
        if getattr(output, "pooler_output", None) is not None:
            output.pooler_output = _pool(encoder, output.last_hidden_state)
        return output

    model.base_model.register_forward_pre_hook(ask_for_states, with_kwargs=True)
    model.base_model.register_forward_hook(mix)


def _pool(encoder: Any, states: Tensor) -> Tensor:
    """Return what the encoder's pooler makes of states (B, T, H), (B, H); in ALBERT and BigBird it is a layer and an activation."""
    if not isinstance(encoder.pooler, nn.Linear):
        pooled: Tensor = encoder.pooler(states)
        return pooled
    activation = encoder.pooler_activation if hasattr(encoder, "pooler_activation") else encoder.activation
    activated: Tensor = activation(encoder.pooler(states[:, 0]))
    return activated
