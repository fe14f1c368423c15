"""Activation checkpointing: layers whose activations are computed again in the backward pass instead of kept (arXiv 1604.06174)."""

from __future__ import annotations

from typing import Any

from mlctl.errors import InputError


def checkpoint_activations(model: Any) -> None:
    """Let a Hugging Face model in training mode keep the inputs of its layers alone; dropout is the same in both computations.

    Raises:
        InputError: its class cannot.
    """
    options = {"use_reentrant": False}
    try:
        if hasattr(model, "activation_checkpointing_enable"):
            model.activation_checkpointing_enable(options)
        else:  # transformers before 5.20
            model.gradient_checkpointing_enable(options)
    except ValueError:
        raise InputError(
            f"{type(model).__name__} has no activation checkpointing", "set train.activation_checkpointing=false"
        ) from None
