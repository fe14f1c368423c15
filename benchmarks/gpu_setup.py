"""What the measurements of `benchmarks/gpu.py` have in common: amounts of work, settings, generated shards, models, timing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from contenders import Geometry
from made_shards import write_shards

from mlctl.config import ResolvedTrain, Train, resolve_train
from mlctl.modeling.model_export import save_model
from mlctl.modeling.sentence_config import Pooling

#: The card that the roofline is computed for: matrix products in bf16 and copies as measured on an H200.
PEAK_FLOPS, PEAK_BYTES = 790e12, 4.3e12
LAUNCH_SECONDS = 5e-6


@dataclass(frozen=True)
class Scale:
    """Amounts of work.

    Attributes:
        geometry: of the encoder.
        batches: batch sizes of the training step.
        mini_batch: sentences that CachedMNRL encodes at once.
        micro_batches: tokens encoded at once, tried at `middle` beside mlctl's own choice.
        middle: the batch size that single comparisons use.
        authors: batch sizes of the authors' step.
        trainers: batch sizes of sentence-transformers' trainer and of mlctl's.
        trainer_steps: steps of a trainer.
        pairs: generated sentence pairs.
        sentences: sentences that are encoded.
        aligned: pairs whose words are aligned.
        seconds: how long a step is repeated.
        factor: of the expected seconds of each measurement.
    """

    geometry: Geometry
    batches: tuple[int, ...]
    mini_batch: int
    micro_batches: tuple[int, ...]
    middle: int
    authors: tuple[int, ...]
    trainers: tuple[int, ...]
    trainer_steps: int
    pairs: int
    sentences: int
    aligned: int
    seconds: float
    factor: float


GPU = Scale(
    Geometry(12, 768), (64, 256, 1024, 4096), 128, (1024, 4096), 256, (64, 256), (64, 256), 20, 40_000, 20_000, 8192, 3.0, 1.0
)
CPU = Scale(Geometry(2, 64, 500), (8, 16), 16, (256,), 16, (8,), (8,), 6, 1000, 200, 64, 0.0, 0.5)
QUICK = Scale(Geometry(1, 64, 300), (8,), 8, (), 8, (8,), (8,), 3, 200, 40, 16, 0.0, 0.05)


@dataclass(eq=False)
class Bench:
    """Inputs of all measurements."""

    scale: Scale
    device: torch.device
    scratch: Path

    @property
    def is_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def threads(self) -> int:
        """CPU threads of the computation, 0: all; threads that wait for each other on a busy machine measure nothing."""
        return 0 if self.is_gpu else 1

    @cached_property
    def shards(self) -> Path:
        """Generated shards with the lengths of real text."""
        return write_shards(self.scratch / "shards", self.scale.pairs, self.scale.geometry.types)

    @cached_property
    def model_folder(self) -> Path:
        """A saved model with random weights."""
        folder, geometry = self.scratch / "model", self.scale.geometry
        save_model(geometry.model(), self.shards / "tokenizer", folder, Pooling((1, geometry.layers)))
        return folder

    def model(self, **changes: Any) -> Any:
        """Return a new model with random weights on the device."""
        with self.device:
            return self.scale.geometry.model(**changes)

    def settings(self, **changes: Any) -> ResolvedTrain:
        """Return mlctl's defaults for a masked-language model, in bf16, with changes."""
        fixed = {
            "precision": "bf16",
            "devices": str(self.device),
            "batch_size": self.scale.middle,
            "trackers": (),
            "threads": self.threads,
        }
        return resolve_train(Train.model_validate({**fixed, **changes}), "masked-lm")

    def wait(self) -> None:
        if self.is_gpu:
            torch.cuda.synchronize()

    def seconds_each(self, step: Callable[[int], object], warm: int = 2, seconds: float | None = None) -> float:
        """Return the seconds of a step, the mean over at least two steps that follow one another without a pause."""
        warm = warm if self.is_gpu else 1
        for number in range(warm):
            step(number)
        self.wait()
        limit, start, done = self.scale.seconds if seconds is None else seconds, time.perf_counter(), 0
        while done < 2 or (time.perf_counter() - start < limit and done < 100):
            step(warm + done)
            done += 1
        self.wait()
        return (time.perf_counter() - start) / done

    def reset_peak(self) -> None:
        if self.is_gpu:
            torch.cuda.reset_peak_memory_stats()

    def peak_gb(self) -> float | None:
        """Return the peak of allocated GPU memory since `reset_peak`; None on a CPU."""
        return torch.cuda.max_memory_allocated() / 1e9 if self.is_gpu else None

    @cached_property
    def matmul_peak(self) -> float:
        """Floating-point operations per second of a large bf16 matrix product."""
        size = 8192 if self.is_gpu else 256
        a, b = (torch.randn(size, size, dtype=torch.bfloat16, device=self.device) for _ in range(2))
        return 2 * size**3 / self.seconds_each(lambda _: a @ b, warm=3, seconds=0.5)

    @cached_property
    def copy_peak(self) -> float:
        """Bytes read and written per second by a copy on the device."""
        source = torch.empty(2**30 if self.is_gpu else 2**22, dtype=torch.float32, device=self.device).fill_(1)
        target = torch.empty_like(source)
        return 2 * source.nbytes / self.seconds_each(lambda _: target.copy_(source), warm=3, seconds=0.5)
