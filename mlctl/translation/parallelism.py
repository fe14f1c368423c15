"""How many workers translate at the same time, on which devices, and with how many threads each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlctl.config import Translate
from mlctl.config.translate import NEURAL_BACKENDS
from mlctl.core.cpu import usable_cores
from mlctl.core.memory import available_memory
from mlctl.errors import InputError
from mlctl.execution.backend import ExecutionBackend
from mlctl.translation import models
from mlctl.translation.backend_pool import Pair, pivot_steps

_CPU = "cpu"
_PROCESS_BYTES = 500_000_000  # of a worker beside its models: Python and its libraries
_MEMORY_SHARE = 0.5  # of a machine's memory, for the models of all workers


@dataclass(frozen=True)
class Parallelism:
    """Workers of a stage.

    Attributes:
        workers: processes that translate at the same time.
        threads: CPU threads of each.
        devices: the device of each worker: "cpu"; "cuda:1": a GPU of this machine; "cuda": the one that is reserved for the worker.
        gpus: the GPUs, or the part of one, that are reserved for each worker.
    """

    workers: int
    threads: int
    devices: Sequence[str]
    gpus: float = 0

    def in_process(self, settings: Translate) -> Parallelism:
        """Return how this process does the work alone: with the threads of all workers, as far as it has cores. A program may wait for
        a server: of it, as many as the recipe says run at the same time.
        """
        device = next(iter(models.gpu_names(settings)), _CPU)
        threads = self.workers * self.threads
        is_program = settings.backend not in NEURAL_BACKENDS
        return Parallelism(1, threads if is_program and settings.workers else min(threads, usable_cores()), [device])


def choose_parallelism(settings: Translate, backend: ExecutionBackend, languages: Sequence[Sequence[Pair]]) -> Parallelism:
    """Return the workers of a stage; `languages` has the language pairs of each language that is translated.

    A server is asked by this process alone, so that the limits of its requests hold for the whole stage.
    On GPUs there is one worker a GPU, or as many as the recipe says, which share them. On CPUs the workers and their threads fill the
    cores, never more. Each worker has its own models: by default there is one worker a core with one thread or, where that many models
    would not fit into half of the memory, fewer with several threads, which share a model. The transformers backend and programs use
    one thread a worker.
    """
    if settings.backend == "openai":
        return Parallelism(1, 1, [_CPU])
    if gpus := _gpu_names(settings, backend):
        workers = settings.workers or len(gpus)
        return Parallelism(workers, 1, [gpus[number % len(gpus)] for number in range(workers)], min(1, len(gpus) / workers))
    if settings.workers:
        workers = settings.workers
    elif settings.threads:
        workers = max(1, backend.cores // settings.threads)
    else:
        workers = min(backend.cores, _workers_in_memory(settings, backend, languages))
    shared = settings.backend == "ctranslate2"
    threads = settings.threads or (max(1, min(backend.cores // workers, backend.min_node_cores)) if shared else 1)
    return Parallelism(workers, threads, [_CPU] * workers)


def _gpu_names(settings: Translate, backend: ExecutionBackend) -> list[str]:
    """Return the names of the GPUs that models run on."""
    if backend.gpus is None:
        return models.gpu_names(settings)
    return ["cuda"] * backend.gpus if settings.backend in NEURAL_BACKENDS and settings.device != _CPU else []


def _workers_in_memory(settings: Translate, backend: ExecutionBackend, languages: Sequence[Sequence[Pair]]) -> int:
    """Return how many workers fit into the memory of all machines, which count as equal to this one; the largest models decide."""
    if settings.backend not in NEURAL_BACKENDS:
        return backend.cores
    largest = max(_model_bytes(settings, pairs) for pairs in languages)
    workers = max(1, int(available_memory() * _MEMORY_SHARE) // (largest + _PROCESS_BYTES))
    return workers * max(1, backend.cores // backend.min_node_cores)


def _model_bytes(settings: Translate, pairs: Sequence[Pair]) -> int:
    """Return the size of the models of one language, whose pairs go through the pivot where there is no direct model."""
    steps = [step for pair in pairs for step in _steps(settings, pair)]
    return models.weights_bytes(settings, steps)


def _steps(settings: Translate, pair: Pair) -> list[Pair]:
    if not settings.pivot or settings.pivot in pair:
        return [pair]
    try:
        models.resolve_folder(settings, settings.model_for(*pair))
    except InputError:
        return pivot_steps(*pair, settings.pivot)
    return [pair]
