"""Fully sharded training (FSDP2 of torch, arXiv 2304.11277): every process holds a share of each weight, its gradient and its moments.

A layer's weights are gathered before it computes and dropped after it, forward and backward, so all processes must run the encoder
equally often. Gradients are summed over the processes, as those of weights that are not sharded (`training.gradient_reducer`).

What a training without it does not need of torch is imported where it is used: that takes most of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn

from mlctl.modeling.freezing import find_layers


def shard_weights(encoder: Any, device: torch.device) -> None:
    """Shard a Hugging Face encoder over all processes, layer by layer, and move it to the device of each; all call this together."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    found = find_layers(encoder)
    for layer in found.layers if found else ():
        fully_shard(layer, mesh=mesh)
    plain = type(encoder)
    fully_shard(encoder, mesh=mesh, reshard_after_forward=True)  # so that between passes all weights are shares
    # fully_shard makes a subclass; transformers looks up by a class's full name which outputs it records.
    type(encoder).__module__, type(encoder).__qualname__ = plain.__module__, plain.__qualname__
    for module in encoder.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # a product with 1 is what gloo cannot compute


def is_sharded(tensor: Tensor) -> bool:
    """Return whether each process holds a share of the tensor: whether it is a DTensor."""
    return hasattr(tensor, "placements")


def bytes_held(tensor: Tensor) -> int:
    """Return the bytes of a tensor, or of this process's share of it."""
    held = cast(Any, tensor).to_local() if is_sharded(tensor) else tensor
    return int(held.numel() * held.element_size())


def share_of(full: Tensor, like: Tensor) -> Tensor:
    """Return a tensor that every process has in full as one on the device of `like`, and sharded as it is; never the same memory."""
    moved = full.to(like.device, copy=True)
    if not is_sharded(like):
        return moved
    from torch.distributed.tensor import DTensor, distribute_tensor

    sharded = cast(DTensor, like)
    return distribute_tensor(moved, sharded.device_mesh, sharded.placements, src_data_rank=None)


def full_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return all weights by name on the CPU of the first process, none on the others; all processes call this together."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    weights: dict[str, Any] = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    return weights


def clip_gradients(parameters: Sequence[nn.Parameter], max_norm: float) -> Tensor:
    """Scale gradients, sharded or not, down to a norm where they exceed it; return the norm that they had all together."""
    trained = [parameter for parameter in parameters if parameter.grad is not None]
    sharded = [parameter for parameter in trained if is_sharded(parameter)]
    parts = [sharded, [parameter for parameter in trained if not is_sharded(parameter)]] if sharded else [trained]
    norms = [nn.utils.get_total_norm([item.grad for item in part if item.grad is not None]) for part in parts]
    norms = [cast(Any, norm).full_tensor() if is_sharded(norm) else norm for norm in norms]
    total = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
    for part in parts:
        nn.utils.clip_grads_with_norm_(part, max_norm, total)
    return total
