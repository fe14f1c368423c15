"""Compiling the layers of an encoder by torch.compile."""

from __future__ import annotations

from typing import Any

from mlctl.errors import InputError
from mlctl.modeling.freezing import find_layers

_REMEDY = "set train.compile=false"


def compile_layers(model: Any) -> None:
    """Let the layers of a Hugging Face encoder be compiled at their first pass, once for any number of tokens.

    Raises:
        InputError: the encoder has no module for each layer.
    """
    found = find_layers(model.base_model)
    if found is None:
        raise InputError(f"the layers of {type(model.base_model).__name__} share their weights and are not compiled", _REMEDY)
    for layer in found.layers:
        layer.compile(dynamic=True)


def compile_error(error: BaseException) -> InputError | None:
    """Return an InputError with a remedy if an error is one of torch.compile, such as a missing C++ compiler."""
    if not type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
        return None
    first_line = str(error).strip().partition("\n")[0]
    return InputError(f"torch.compile failed: {first_line}", f"install what it names, or {_REMEDY}")
