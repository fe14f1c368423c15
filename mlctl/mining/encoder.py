"""The sentence encoder of the steps, kept from step to step. The only module of this package that loads torch."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlctl.mining.vectors import Matrix
from mlctl.modeling.devices import resolve_device
from mlctl.modeling.sentence_encoder import SentenceEncoder
from mlctl.modeling.single_thread import single_thread

_SETTING = "device of the source"


def encode(folder: Path, texts: Sequence[str], prompt: str, device: str) -> Matrix:
    """Return the unit vectors of texts, (N, O) float32, computed on one thread as in a worker.

    Args:
        folder: of the encoder.
        texts: without the prompt.
        prompt: put before each text.
        device: auto, cpu, cuda or cuda:N.
    """
    with single_thread():
        vectors = _load(folder, device).encode([prompt + text for text in texts])
    return vectors.astype(np.float32, copy=False)


def is_gpu(device: str) -> bool:
    """Return whether a device is a GPU of this machine. Raises InputError if it cannot be used."""
    return resolve_device(device, _SETTING).type != "cpu"


def release() -> None:
    """Free the encoder."""
    _load.cache_clear()


@functools.lru_cache(maxsize=1)
def _load(folder: Path, device: str) -> SentenceEncoder:
    return SentenceEncoder(folder, device, setting=_SETTING)
