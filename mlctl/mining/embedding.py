"""Sentence vectors for the steps: torch is loaded by the first one that needs them, and only then."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlctl.mining.vectors import Matrix


def embed(folder: Path, texts: Sequence[str], prompt: str, device: str) -> Matrix:
    """Return the unit vectors of texts; see `mlctl.mining.encoder.encode`."""
    from mlctl.mining.encoder import encode

    return encode(folder, texts, prompt, device)


def release() -> None:
    """Free the encoder that this process holds, if it holds one."""
    if encoder := sys.modules.get("mlctl.mining.encoder"):
        encoder.release()


def is_gpu(device: str) -> bool:
    """Return whether a device (auto, cpu, cuda or cuda:N) is a GPU of this machine. Raises InputError if it cannot be used."""
    from mlctl.mining.encoder import is_gpu

    return is_gpu(device)
