"""A roofline on paper: what a training step would take at least, from its operations, its bytes and its launches.

The step runs on fake tensors, which have shapes and no values: any size is counted on any machine. Batches are real, so that lengths,
micro-batches and indices are. Attention counts as one fused operation, as on a GPU. Layers are alike: counts of one and of two layers give
those of all.
"""

# ruff: noqa: ARG001, ARG005 - operations and their formulas have given signatures
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from contenders import Geometry, Ours, batches
from gpu_runner import Figures, Measurement, SkippedError
from gpu_setup import LAUNCH_SECONDS, PEAK_BYTES, PEAK_FLOPS, Bench
from made_shards import write_shards
from operations import operations
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import DeviceType
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from mlctl.config import ResolvedTrain, Train, resolve_train
from mlctl.modeling import packing
from mlctl.modeling.packing import Packing
from mlctl.training.distributed import SINGLE
from mlctl.training.gradient_cache import forward_backward
from mlctl.training.gradient_reducer import GradientReducer
from mlctl.training.micro_batching import ALL
from mlctl.training.objective import Objective
from mlctl.training.optimiser import Optimiser

SECTION = "roofline of a step"
MBERT = Geometry(12, 768)
#: Batch size, whether gradients are cached, and tokens encoded at once.
Case = tuple[int, bool, int]
CASES: tuple[Case, ...] = ((64, False, ALL), (256, False, ALL), (256, True, 16_384), (256, False, 4096), (256, False, 1024))
_PAIRS = 2000  # of the shards that batches are read from
_NO_KERNEL = ("empty", "detach", "_unsafe_view", "lift_fresh", "alias", "_reshape_alias", "promote_types")
_GATHERS = ("embedding.", "index_select.", "gather.", "index.Tensor")  # read what they write, not the whole table
_FILLS = ("zeros", "ones", "new_zeros", "new_ones", "full", "arange", "scalar_tensor")  # read nothing
_WAITS = ("_local_scalar_dense", "nonzero", "repeat_interleave.Tensor", "is_nonzero", "equal.")  # the CPU waits for the device

Counts = dict[str, float]


def measurements(bench: Bench, geometry: Geometry = MBERT, cases: tuple[Case, ...] = CASES) -> Iterator[Measurement]:
    """Yield a step's kernels as the profiler counts them on a GPU, and rooflines on paper."""
    middle = bench.scale.middle
    yield Measurement(
        SECTION, f"bf16, batch {middle}, by the profiler", 15 * bench.scale.factor, partial(profiled, bench, middle)
    )
    for size, cache, tokens in cases:
        at_once = "" if tokens == ALL else f", {tokens:,} tokens at once"
        name = f"bf16, batch {size}{', cached gradients' * cache}{at_once}, on paper"
        yield Measurement(SECTION, name, 5 + size / 10, partial(roofline, bench, geometry, (size, cache, tokens)))


def roofline(bench: Bench, geometry: Geometry, case: Case) -> Figures:
    """Return the counts of a step with mlctl's defaults, and the times that they take at least at the card's peaks."""
    size, cache, tokens = case
    values = {"batch_size": size, "cache_gradients": cache, "precision": "bf16", "devices": "cpu", "micro_batch_tokens": tokens}
    settings = resolve_train(Train.model_validate(values), "masked-lm")
    shards = bench.scratch / "roofline"
    if not shards.exists():
        write_shards(shards, _PAIRS, geometry.types)
    batch = batches(shards, settings)(0)
    one, two = (counts_of(Geometry(layers, geometry.hidden, geometry.types), settings, batch) for layers in (1, 2))
    counts = {name: one[name] + (geometry.layers - 1) * (two[name] - one[name]) for name in one}
    times = {
        "ms_compute": 1000 * counts["flop"] / PEAK_FLOPS,
        "ms_memory": 1000 * counts["bytes"] / PEAK_BYTES,
        "ms_launches": 1000 * counts["launches"] * LAUNCH_SECONDS,
    }
    needed = operations(batch, settings, geometry)
    slowest = max(times.values())
    return {
        "tokens": batch.tokens,
        "tflop_needed": needed / 1e12,
        "tflop": counts["flop"] / 1e12,
        "gb": counts["bytes"] / 1e9,
        "launches": round(counts["launches"]),
        "of_them_casts": round(counts["casts"]),
        "waits": round(counts["waits"]),
        **times,
        "highest_mfu": needed / PEAK_FLOPS / (slowest / 1000),
    }


def profiled(bench: Bench, size: int) -> Figures:
    """Return the launches of a step on a GPU, and the share of its time in which the GPU is busy.

    Raises:
        SkippedError: the device is no GPU.
    """
    if not bench.is_gpu:
        raise SkippedError("needs a GPU")
    settings = bench.settings(batch_size=size)
    step = Ours(bench.model(), settings, bench.shards, bench.device)
    batch = step.batch(0)
    seconds = bench.seconds_each(lambda number: step.step(batch, number), seconds=1.0)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        step.step(batch, 3)
        bench.wait()
    events = [event for event in profiler.events() if event.device_type == DeviceType.CUDA and "#" not in event.name]  # no ranges
    busy = sum(event.time_range.elapsed_us() for event in events) / 1e6
    return {"tokens": batch.tokens, "launches": len(events), "ms_step": 1000 * seconds, "ms_busy": 1000 * busy}


def counts_of(geometry: Geometry, settings: ResolvedTrain, batch: Any) -> Counts:
    """Return the operations, bytes, launches and waits of a step."""
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with fake:
        objective = Objective(geometry.model(), settings, seed=0).train()
        optimiser = Optimiser(objective.parameters(), settings)
    step, update = _Counter(), _Counter()
    with (
        one_kernel_attention(),
        _FusedOperations(),
        FlopCounterMode(display=False, custom_mapping=_ATTENTION_FLOP) as flops,
        step,
    ):
        forward_backward(objective, batch, SINGLE, settings.cache_gradients, GradientReducer((), (), SINGLE))
    norm = optimiser.clip_gradients()
    optimiser.step(0, norm)  # makes Adam's moments
    with update:
        optimiser.step(0, optimiser.clip_gradients())
        optimiser.zero_grad()
    launches = step.launches.total() + len(update.launches)  # the update's kernels take all weights at once
    return {
        "flop": float(flops.get_total_flops()),
        "bytes": float(step.bytes + update.bytes),
        "launches": float(launches),
        "casts": float(step.launches["_to_copy.default"]),
        "waits": float(step.waits + update.waits),
    }


class _Counter(TorchDispatchMode):
    """Counts launches by operation, bytes read and written, and waits for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()
        self.bytes = self.waits = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        namespace, _, name = str(func).partition(".")
        if namespace in ("aten", "roofline") and not func.is_view and not name.startswith(_NO_KERNEL):
            self.launches[name] += 1
            self.waits += name.startswith(_WAITS)
            read, written = _bytes((args, kwargs)), _bytes(result)
            if name.startswith(_GATHERS):
                read = written
            elif name.startswith(_FILLS):
                read = 0
            self.bytes += read + written
        return result


class _FusedOperations(TorchFunctionMode):
    """Takes dropout as the one operation that it is on a GPU."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        options = dict(kwargs or {})
        if func is torch.nn.functional.dropout:
            return _dropout(*args, **options)
        return func(*args, **options)


def _dropout(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    del inplace
    return torch.ops.aten.native_dropout(values, p, True)[0] if training and p else values


@torch.library.custom_op("roofline::attention", mutates_args=())
def _attention(query: Tensor, key: Tensor, value: Tensor, pairs: int) -> Tensor:
    """Stand for attention in one kernel, of packed sequences with this number of pairs of tokens; the values are of no interest."""
    return torch.empty_like(query)


@torch.library.custom_op("roofline::attention_backward", mutates_args=())
def _attention_backward(gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, pairs: int) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _save_for_backward(ctx: Any, inputs: Any, output: Any) -> None:
    *parts, ctx.pairs = inputs
    ctx.save_for_backward(*parts)


def _run_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return (*_attention_backward(gradient, *ctx.saved_tensors, ctx.pairs), None)


_attention.register_fake(lambda query, key, value, pairs: torch.empty_like(query))
_attention_backward.register_fake(lambda gradient, *parts: tuple(torch.empty_like(part) for part in parts[:3]))
_attention.register_autograd(_run_backward, setup_context=_save_for_backward)


def one_kernel_attention() -> AbstractContextManager[Any]:
    """Return a context in which attention of packed sequences is the one operation that it is on a GPU; on a CPU it is padded."""
    return patch.object(packing, "_padded_attention", _packed_attention)


def _packed_attention(tokens: list[Tensor], packing: Packing, *_: Any) -> Tensor:
    output: Tensor = _attention(*tokens, int((np.diff(packing.offsets.numpy()).astype(np.int64) ** 2).sum()))
    return output


#: Two matrix products forward, and five backward, which computes the scores again; arguments are shapes (tokens, heads, size).
_ATTENTION_FLOP = {
    torch.ops.roofline.attention: lambda query, key, value, pairs, **_: 4 * pairs * query[1] * query[2],
    torch.ops.roofline.attention_backward: lambda gradient, query, key, value, pairs, **_: 10 * pairs * query[1] * query[2],
}


def _bytes(values: Any) -> int:
    return sum(value.nbytes for value in tree_leaves(values) if isinstance(value, Tensor))
