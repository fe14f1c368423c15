"""How many workers score at the same time, and on which devices."""

from __future__ import annotations

from pathlib import Path

from mlctl.config.scores import EncoderScore
from mlctl.core.memory import workers_in_memory
from mlctl.execution.backend import ExecutionBackend

_CPU = "cpu"
# Memory of a worker besides the weights: torch, the vectors of a part, a block of cosines.
_WORKER_BYTES = 1_500_000_000


def encoder_devices(settings: EncoderScore, encoder: Path, workers: int, backend: ExecutionBackend) -> list[str]:
    """Return the device of each worker: one worker a GPU or, without GPUs, one a core, as far as memory allows.

    Args:
        settings: device of the encoder.
        encoder: its folder.
        workers: the number of workers on CPUs; 0: as many as fit.
        backend: where they run.
    """
    if gpus := _gpus(settings.device, backend):
        return gpus
    from mlctl.modeling.model_files import weight_files

    needed = _WORKER_BYTES + sum(file.stat().st_size for file in weight_files(encoder))
    return [_CPU] * (workers or workers_in_memory(backend.cores, needed))


def _gpus(device: str, backend: ExecutionBackend) -> list[str]:
    """Return the names of the GPUs of the workers, in turn; "cuda": the one that is reserved for a worker of a cluster."""
    if device == _CPU:
        return []
    if device not in ("auto", "cuda"):
        return [device]
    if backend.gpus is not None:
        return ["cuda"] * backend.gpus
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
