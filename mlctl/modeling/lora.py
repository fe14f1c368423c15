"""LoRA (arXiv 2106.09685): low-rank updates of an encoder's linear layers are trained in place of its weights, and added to them at the end."""

from __future__ import annotations

from typing import Any

from torch import nn

from mlctl.errors import InputError
from mlctl.modeling.freezing import find_layers

_SCALE = 2  # α/r: the updates are multiplied by it


def add_lora(model: Any, rank: int) -> None:
    """Add updates of a rank to the linear layers of a Hugging Face encoder's blocks; nothing else of the model is trained then.

    An update is B·A: A is drawn from torch's generator, B is 0, so the model computes the same at first.

    Raises:
        InputError: the encoder has no blocks of its own.
    """
    from peft import LoraConfig, inject_adapter_in_model

    found = find_layers(model.base_model)
    if found is None:
        raise InputError(
            f"the layers of {type(model).__name__} share their weights: LoRA is not available", "set train.lora_rank=0"
        )
    inside = {id(part) for part in found.layers.modules() if isinstance(part, nn.Linear)}
    names = [name for name, part in model.named_modules() if id(part) in inside]
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=_SCALE * rank, target_modules=names), model)


def merge_lora(model: Any) -> None:
    """Add the updates to the weights, and restore the modules that the model had before `add_lora`."""
    from peft.tuners.lora import LoraLayer

    for name, part in list(model.named_modules()):
        if isinstance(part, LoraLayer):
            part.merge()
            parent, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(parent), attribute, part.get_base_layer())
