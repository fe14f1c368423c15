"""Resolving the device that a setting names."""

from __future__ import annotations

import logging
import platform

import torch

from mlctl.errors import InputError

_log = logging.getLogger(__name__)


def resolve_device(name: str, setting: str) -> torch.device:
    """Return the device `name` (auto: a GPU where there is one), the value of the recipe's setting `setting`.

    Raises:
        InputError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{setting}: {name!r} cannot be used here ({reason})", f"set {setting}=auto or cpu") from None


def warn_of_slow_bf16(precision: str, device: torch.device, setting: str) -> None:
    """Warn where bf16 is asked for on an x86 processor without AVX-512: a step was measured to take 16 times as long as in fp32."""
    is_slow = device.type == "cpu" and platform.machine() in ("x86_64", "AMD64") and not has_fast_bf16()
    if precision == "bf16" and is_slow:
        _log.warning(
            "%s is bf16, which this processor (no AVX-512) computes many times slower than fp32: set %s=fp32", setting, setting
        )


def has_fast_bf16() -> bool:
    """Return whether torch's CPU kernels compute matrix products of bf16 with the processor's own instructions."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


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
