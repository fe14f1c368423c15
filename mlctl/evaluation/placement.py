"""Where the steps of an evaluation run: in the stage's process or on workers, how many of these, and on which GPUs."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlctl.config import Evaluate
from mlctl.core.memory import workers_in_memory
from mlctl.evaluation.steps import EvaluationStep
from mlctl.execution.backend import ExecutionBackend
from mlctl.modeling.model_files import weight_files

_log = logging.getLogger(__name__)

# Workers take some seconds of the CPU to start: up to so many bytes of weights, counted for each score, the steps are faster in this process.
_MAX_COST_IN_PROCESS = 500_000_000
# Memory of a worker besides weights: torch, the benchmark's text and a batch.
_WORKER_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Placement:
    """Where steps run.

    Attributes:
        workers: number of workers; 0: the steps run in this process.
        gpus: number of GPUs of all machines that they share; 0: they compute on CPUs.
        visible: each GPU of this machine, as CUDA_VISIBLE_DEVICES names it, for the workers in turn; empty: the environment says it.
    """

    workers: int
    gpus: int = 0
    visible: Sequence[str] = ()

    @property
    def gpu_share(self) -> float:
        """The part of a GPU that is reserved for a worker on a cluster."""
        return min(1.0, self.gpus / self.workers)

    def gpu(self, worker: int) -> str | None:
        """Return the GPU of a worker, by its number, as CUDA_VISIBLE_DEVICES names it; None: as the environment says."""
        return self.visible[worker % len(self.visible)] if self.visible else None


def place(steps: Sequence[EvaluationStep], at_once: int, settings: Evaluate, backend: ExecutionBackend) -> Placement:
    """Return where steps run, of which `at_once` do not depend on each other. No choice changes a result on CPUs."""
    weights = {folder: _weights_size(folder) for folder in {step.encoder for step in steps}}
    is_local = backend.gpus is None
    is_little = sum(weights[step.encoder] * step.cost for step in steps) <= _MAX_COST_IN_PROCESS
    if is_little and (is_local or settings.device == "cpu"):
        return Placement(0)
    gpus, visible = _gpus(settings.device, backend)
    needed = _WORKER_BYTES + max(weights[step.encoder] * step.weights_in_memory for step in steps)
    workers = min(settings.workers or gpus or workers_in_memory(backend.cores, needed), at_once)
    if not settings.workers and not gpus and workers < min(backend.cores, at_once):
        _log.info("%d workers on %d cores: each is counted with %.1f GB of memory", workers, backend.cores, needed / 1e9)
    if workers < 2 and (is_local or not gpus):
        return Placement(0)
    return Placement(workers, gpus, visible)


def _gpus(device: str, backend: ExecutionBackend) -> tuple[int, Sequence[str]]:
    """Return the number of GPUs that can be used at the same time, and how each of this machine is named."""
    if device == "cpu":
        return 0, ()
    if device not in ("auto", "cuda"):
        return 1, ()  # the recipe names one
    if backend.gpus is not None:
        return backend.gpus, ()  # the cluster chooses
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    listed = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return count, listed[:count] if len(listed) >= count else [str(index) for index in range(count)]


def _weights_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in weight_files(folder))
