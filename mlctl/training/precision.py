"""Arithmetic of the encoder in training: fp32 or bf16."""

from __future__ import annotations

import torch

from mlctl.config import Train


def autocast(settings: Train, device: torch.device) -> torch.autocast:
    """Return the context in which the encoder and the masked-LM head compute: bf16 where `train.precision` says so.

    Similarities and losses stay fp32 (`mlctl.training.losses`).
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16")
