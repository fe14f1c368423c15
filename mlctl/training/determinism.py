"""Deterministic computation on a device, and the state of its random generator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from mlctl.core.cpu import usable_cores


def random_state(device: torch.device) -> Tensor:
    """Return the state of the generator that dropout on a device draws from."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def set_random_state(device: torch.device, state: Tensor) -> None:
    """Restore the generator that dropout on a device draws from to a state of `random_state`."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)


@contextlib.contextmanager
def deterministic(device: torch.device, threads: int, processes: int = 1) -> Iterator[None]:
    """Compute deterministically inside the block: equal input gives equal bytes on a CPU with the same number of threads.

    On a GPU products of fp32 matrices use its TF32 units. The caller's threads, modes and random states are restored after it.

    Args:
        device: the device of the computation.
        threads: CPU threads; 0: all cores.
        processes: number of processes that share the cores.
    """
    threads_before, modes_before, precision = torch.get_num_threads(), _modes(), torch.get_float32_matmul_precision()
    torch.set_num_threads(threads or max(usable_cores() // processes, 1))
    torch.set_float32_matmul_precision("high" if device.type == "cuda" else precision)
    _set_modes(device.type == "cpu", True, False)  # deterministic mode fills fresh memory by default: no use here, and slow
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(threads_before)
        torch.set_float32_matmul_precision(precision)
        _set_modes(*modes_before)


def _modes() -> tuple[bool, bool, bool]:
    fill: bool = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(), fill


def _set_modes(deterministic: bool, warn_only: bool, fill: bool) -> None:
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
    torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
