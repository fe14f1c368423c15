"""How many tokens are encoded at once: what is fastest on a CPU, what fits in the memory of a GPU."""

from __future__ import annotations

import sys
from typing import Any

import torch

from mlctl.config import ResolvedTrain
from mlctl.modeling.fully_sharded import bytes_held

#: On a CPU: the activations of more no longer fit in its caches, and fewer are more calls.
CPU_TOKENS = 1024

#: More than a batch can have.
ALL = sys.maxsize

_MEMORY_SHARE = 0.6  # of the free memory, for activations; the rest is for the vectors, the losses and fragmentation


def micro_batch_tokens(settings: ResolvedTrain, model: Any, device: torch.device) -> int:
    """Return how many tokens a training encodes at once; `ALL`: those of a batch.

    Without gradient caching the activations of all tokens of a batch are in memory anyway: on a GPU, where few large operations are
    faster than many small ones, all are encoded at once.
    """
    if settings.micro_batch_tokens != "auto" or device.type != "cuda":
        return tokens_on_cpu(settings)
    if not settings.cache_gradients:
        return ALL
    weights = sum(map(bytes_held, model.parameters()))
    free = torch.cuda.mem_get_info(device)[0] - 3 * weights  # their gradients and Adam's two moments are still to come
    return tokens_in(_MEMORY_SHARE * free, settings, model)


def tokens_on_cpu(settings: ResolvedTrain) -> int:
    """Return how many tokens a training on a CPU encodes at once."""
    return CPU_TOKENS if settings.micro_batch_tokens == "auto" else settings.micro_batch_tokens


def tokens_in(memory: float, settings: ResolvedTrain, model: Any) -> int:
    """Return how many tokens' activations take so many bytes, at least `CPU_TOKENS`."""
    return max(int(memory / bytes_per_token(settings, model)), CPU_TOKENS)


def bytes_per_token(settings: ResolvedTrain, model: Any) -> float:
    """Return about how many bytes the backward pass of an encoder keeps for a token.

    In each layer of size H and feed-forward size F: the inputs of the linear layers, queries, keys, values and the activation function
    in the precision of the encoder, dropout masks, and the residual stream in fp32.
    """
    config = model.config
    hidden, feed_forward = config.hidden_size, getattr(config, "intermediate_size", 4 * config.hidden_size)
    half = settings.precision == "bf16"
    return float(config.num_hidden_layers * ((32 if half else 48) * hidden + (4 if half else 8) * feed_forward))
