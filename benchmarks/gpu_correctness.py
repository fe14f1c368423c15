"""Correctness on a device: a training step against the CPU, bf16 against fp32, gradient caching, resuming, determinism.

A check's figures are `value` (a relative difference of gradients or weights, all together), `limit` and `passed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from authors import gradients
from contenders import Geometry, batches
from gpu_runner import Figures, Measurement
from gpu_setup import Bench
from made_shards import write_shards
from safetensors.torch import load_file

from mlctl.config import Model, ScratchModel
from mlctl.core.workspace import Workspace, silent
from mlctl.training import train
from mlctl.training.determinism import deterministic
from mlctl.training.distributed import SINGLE
from mlctl.training.gradient_cache import forward_backward
from mlctl.training.gradient_reducer import GradientReducer
from mlctl.training.objective import Objective

SECTION = "correctness"
SMALL = Geometry(2, 64, types=500)  # of the encoder that is compared: a CPU has to compute it, too
PAIRS, SHARD_PAIRS, STEPS = 16, 300, 6
FP32_LIMIT, BF16_LIMIT = 1e-3, 0.1  # of gradients; bf16 has three digits
LOSS_LIMIT = {"fp32": 1e-4, "bf16": 2e-2}
RESUME_LIMIT = 1e-3  # of weights after STEPS steps on a GPU: sums of atomic additions differ from run to run there


def measurements(bench: Bench) -> Iterator[Measurement]:
    checks: tuple[tuple[str, float, Callable[[Bench], Figures]], ...] = (
        ("fp32: loss and gradients equal the CPU's", 15, lambda bench: against_cpu(bench, "fp32")),
        ("bf16: loss and gradients near the CPU's in fp32", 10, lambda bench: against_cpu(bench, "bf16")),
        ("cached gradients equal uncached ones, with dropout", 10, cached),
        ("training twice gives the same weights", 15, repeated),
        ("resumed training gives the same weights", 15, resumed),
    )
    for name, seconds, check in checks:
        yield Measurement(SECTION, name, seconds * bench.scale.factor, lambda check=check: check(bench))  # type: ignore[misc]


def against_cpu(bench: Bench, precision: str) -> Figures:
    """Compare a step on the device with one on the CPU in fp32, without dropout."""
    with deterministic(bench.device, bench.threads):
        reference = _step(bench, torch.device("cpu"), precision="fp32")
        loss, found = _step(bench, bench.device, precision=precision)
    error = difference(found, reference[1])
    limit = FP32_LIMIT if precision == "fp32" else BF16_LIMIT
    loss_error = abs(loss - reference[0]) / max(abs(reference[0]), 1.0)
    passed = error <= limit and loss_error <= LOSS_LIMIT[precision]
    return {"value": error, "limit": limit, "passed": passed, "loss_difference": loss_error}


def cached(bench: Bench) -> Figures:
    """Compare a step with gradient caching with one without, both with the same dropout."""
    with deterministic(bench.device, bench.threads):
        (loss, plain), (cached_loss, found) = (
            _step(bench, bench.device, dropout=0.1, precision="fp32", cache_gradients=cache) for cache in (False, True)
        )
    return _verdict(difference(found, plain), FP32_LIMIT) | {"loss_difference": abs(loss - cached_loss)}


def repeated(bench: Bench) -> Figures:
    """Train twice. On a CPU the weights have to be the same to the byte."""
    return _same(bench, _trained_at_once(bench), _trained(bench, bench.scratch / "repeated"))


def resumed(bench: Bench) -> Figures:
    """Train at once, and with an interruption after half of the steps."""
    folder = bench.scratch / "resumed"
    try:
        _trained(bench, folder, stop_after=STEPS // 2)
    except _InterruptedError:
        return _same(bench, _trained_at_once(bench), _trained(bench, folder))
    raise AssertionError("the training was not interrupted")


def difference(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> float:
    """Return |found − expected| / |expected| of all tensors together."""
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    squares = sum((found[name].double() - value.double()).square().sum() for name, value in expected.items())
    return float((squares / sum(value.double().square().sum() for value in expected.values())) ** 0.5)


class _InterruptedError(Exception):
    """Raised in the middle of a training."""


def _step(bench: Bench, device: torch.device, dropout: float = 0.0, **changes: Any) -> tuple[float, dict[str, torch.Tensor]]:
    """Return the loss and the gradients, on the CPU, of a step on the same weights and the same batch."""
    settings = bench.settings(micro_batch_tokens=320, batch_size=PAIRS, devices=str(device), **changes)
    model = SMALL.model(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, initializer_range=0.1)
    objective = Objective(model, settings, seed=0).to(device).train()
    batch = batches(_shards(bench), settings)(0).to(device)
    torch.manual_seed(1)
    losses = forward_backward(objective, batch, SINGLE, settings.cache_gradients, GradientReducer((), (), SINGLE))
    return float(losses.total.detach()), {name: gradient.float().cpu() for name, gradient in gradients(objective).items()}


def _shards(bench: Bench) -> Path:
    folder = bench.scratch / "correctness"
    return folder if folder.exists() else write_shards(folder, SHARD_PAIRS, SMALL.types)


@lru_cache(maxsize=1)
def _trained_at_once(bench: Bench) -> dict[str, torch.Tensor]:
    return _trained(bench, bench.scratch / "at-once")


def _trained(bench: Bench, folder: Path, stop_after: int = 0) -> dict[str, torch.Tensor]:
    """Return the weights of a training in `folder`, which resumes what is there."""
    model = Model(scratch=ScratchModel(layers=SMALL.layers, hidden=SMALL.hidden, heads=1, feed_forward=4 * SMALL.hidden))
    precision = "bf16" if bench.is_gpu else "fp32"  # many CPUs emulate bf16
    changes = {
        "precision": precision,
        "steps": STEPS,
        "batch_size": PAIRS,
        "learning_rate": 1e-3,
        "max_loss_rise": 1000,
        "judge_every": 0,
    }
    settings = bench.settings(micro_batch_tokens=320, checkpoint_seconds=0.001 if stop_after else 1e9, **changes)

    def progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        del total, unit, figures
        if done == stop_after + 1:  # the step after a checkpoint
            raise _InterruptedError

    folder.mkdir(exist_ok=True)
    train(settings, model, 0, _shards(bench), Workspace(folder), progress if stop_after else silent)
    return dict(load_file(folder / "model" / "model.safetensors"))


def _same(bench: Bench, one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> Figures:
    equal = all(torch.equal(one[name], other[name]) for name in one)
    return _verdict(difference(other, one), RESUME_LIMIT if bench.is_gpu else 0.0) | {"equal_bytes": equal}


def _verdict(value: float, limit: float) -> dict[str, Any]:
    return {"value": value, "limit": limit, "passed": value <= limit}
