"""Resolving the device that a setting names."""

from __future__ import annotations

import torch

from mlctl.errors import InputError


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
