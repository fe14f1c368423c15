"""A masked-language model's head, applied to the masked positions alone: on all positions it would take most of a step's time."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mlctl.errors import InputError

# Attributes of transformers' masked-LM classes that lead, one after the other, from last-layer states to logits.
_HEADS = (
    ("cls",),  # BERT, DeBERTa
    ("lm_head",),  # RoBERTa, XLM-RoBERTa, CamemBERT, MPNet
    ("predictions",),  # ALBERT
    ("head", "decoder"),  # ModernBERT
    ("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),  # DistilBERT
    ("generator_predictions", "generator_lm_head"),  # ELECTRA
)


class MaskedLmHead:
    """The head of a masked-language model as a function from states (N, H) to logits (N, vocabulary).

    Raises:
        InputError: the model's class has none of the known heads.
    """

    def __init__(self, model: Any) -> None:
        names = next((names for names in _HEADS if all(hasattr(model, name) for name in names)), None)
        if names is None:
            raise InputError(
                f"{type(model).__name__} has no masked-LM head that mlctl knows",
                "set train.mlm_weight=0, or use an encoder such as BERT or XLM-RoBERTa",
            )
        self._layers = [getattr(model, name) for name in names]

    def __call__(self, states: Tensor) -> Tensor:
        """Return the logits (N, vocabulary) of last-layer states (N, H)."""
        for layer in self._layers:
            states = layer(states)
        return states
