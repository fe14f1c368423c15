"""What training runs on, and how to make it repeat itself there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from mlctl.errors import InputError


def device_of(name: str) -> torch.device:
    """Return the device that a setting names; `auto`: a GPU where there is one.

    Raises:
        InputError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"train.device: {name!r} cannot be used here ({reason})", "set train.device=auto or cpu") from None
    return device


@contextlib.contextmanager
def repeatable(device: torch.device, threads: int) -> Iterator[None]:
    """Compute inside the block so that equal input gives equal bytes on a CPU with as many threads; undone after it.

    Args:
        device: what is computed on.
        threads: CPU threads; 0: all cores.
    """
    threads_before, modes_before = torch.get_num_threads(), _modes()
    torch.set_num_threads(threads or _cores())
    _set_modes(device.type == "cpu", True, False)  # by default deterministic mode fills fresh memory: no use, takes time
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(threads_before)
        _set_modes(*modes_before)


def _modes() -> tuple[bool, bool, bool]:
    fill: bool = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(), fill


def _set_modes(deterministic: bool, warn_only: bool, fill: bool) -> None:
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
    torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
