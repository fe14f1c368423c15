"""A roofline on paper: what a training step would take at least, from its operations, its bytes and its launches.

The step runs on fake tensors, which have shapes and no values: any size is counted on any machine. Batches are real, so that lengths,
micro-batches and indices are. Attention counts as one fused operation, as on a GPU. Layers are alike: counts of one and of two layers give
those of all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from contenders import Geometry, Ours, batches
from gpu_runner import Figures, Measurement, SkippedError
from gpu_setup import LAUNCH_SECONDS, PEAK_BYTES, PEAK_FLOPS, Bench, micro_batch_setting
from made_shards import write_shards
from operations import operations
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import DeviceType
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from mlctl.config import ResolvedTrain, Train, resolve_train
from mlctl.training.distributed import SINGLE
from mlctl.training.gradient_cache import forward_backward
from mlctl.training.objective import Objective
from mlctl.training.optimiser import Optimiser

SECTION = "roofline of a step"
MBERT = Geometry(12, 768)
#: Batch size, whether gradients are cached, and sentences encoded at once (None: the default).
Case = tuple[int, bool, int | None]
CASES: tuple[Case, ...] = ((64, False, None), (256, False, None), (256, True, None), (256, False, 128), (256, False, 512))
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
    for size, cache, micro_batch in cases:
        at_once = f", {micro_batch} sentences at once" if micro_batch else ""
        name = f"bf16, batch {size}{', cached gradients' * cache}{at_once}, on paper"
        yield Measurement(SECTION, name, 5 + size / 10, partial(roofline, bench, geometry, (size, cache, micro_batch)))


def roofline(bench: Bench, geometry: Geometry, case: Case) -> Figures:
    """Return the counts of a step with mlctl's defaults, and the times that they take at least at the card's peaks."""
    size, cache, micro_batch = case
    micro = micro_batch_setting(micro_batch) if micro_batch else {}
    values = {"batch_size": size, "cache_gradients": cache, "precision": "bf16", "devices": "cpu", **micro}
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
    with _FusedOperations(), FlopCounterMode(display=False, custom_mapping=_ATTENTION_FLOP) as flops, step:
        forward_backward(objective, batch, SINGLE, settings.cache_gradients)
    optimiser.step(0)  # makes Adam's moments
    with update:
        optimiser.clip_gradients()
        optimiser.step(0)
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
        if namespace == "aten" and not func.is_view and not name.startswith(_NO_KERNEL):
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
    """Takes the operations that are one kernel on a GPU: dropout, and attention, whose own dropout is left out for that."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        options = dict(kwargs or {})
        if func is torch.nn.functional.scaled_dot_product_attention:
            options["dropout_p"] = 0.0
        if func is torch.nn.functional.dropout:
            return _dropout(*args, **options)
        return func(*args, **options)


def _dropout(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    del inplace
    return torch.ops.aten.native_dropout(values, p, True)[0] if training and p else values


def _attention_flop(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward_flop(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


_ATTENTION_FLOP = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flop,
}


def _bytes(values: Any) -> int:
    return sum(value.nbytes for value in tree_leaves(values) if isinstance(value, Tensor))
