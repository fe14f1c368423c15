"""Devices of a training, and deterministic computation on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from mlctl.core.cpu import usable_cores
from mlctl.errors import InputError
from mlctl.modeling.devices import resolve_device


def resolve_devices(setting: str | int | tuple[str, ...]) -> list[torch.device]:
    """Return the devices that `train.devices` names, one per process.

    Args:
        setting: auto: every GPU, or the CPU where there is none. N: N of them. Names: these.

    Raises:
        InputError: there are fewer GPUs, or a device cannot be used, is named twice, or is of another kind than the others.
    """
    gpus = torch.cuda.device_count()
    if setting == "auto":
        setting = max(gpus, 1)
    if isinstance(setting, int):
        if 0 < gpus < setting:
            raise InputError(f"train.devices is {setting}, but there are {gpus} GPUs", f"set train.devices to at most {gpus}")
        return [torch.device("cuda", index) if gpus else torch.device("cpu") for index in range(setting)]
    names = [setting] if isinstance(setting, str) else setting
    devices = [resolve_device(name, "train.devices") for name in names]
    if len({device.type for device in devices}) > 1:
        raise InputError(f"train.devices names devices of several kinds: {', '.join(names)}", "name only GPUs, or only CPUs")
    if devices[0].type == "cuda" and len(set(devices)) < len(devices):
        raise InputError(f"train.devices names a GPU twice: {', '.join(names)}", "name each once")
    return devices


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

    The caller's threads, modes and random states are restored after it.

    Args:
        device: the device of the computation.
        threads: CPU threads; 0: all cores.
        processes: number of processes that share the cores.
    """
    threads_before, modes_before = torch.get_num_threads(), _modes()
    torch.set_num_threads(threads or max(usable_cores() // processes, 1))
    _set_modes(device.type == "cpu", True, False)  # deterministic mode fills fresh memory by default: no use here, and slow
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
