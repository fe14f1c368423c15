"""The loop: one optimiser step after the other, a checkpoint now and then."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from mlctl.config import Train
from mlctl.errors import InputError
from mlctl.training.batch import Batch
from mlctl.training.checkpoint import CheckpointFolder
from mlctl.training.draws import Purpose, keys
from mlctl.training.objective import Losses
from mlctl.training.optimiser import learning_rate
from mlctl.training.speed import Speed
from mlctl.training.state import TrainingState
from mlctl.training.trackers import Trackers
from mlctl.workspace import Progress


def train_steps(
    state: TrainingState,
    batch_of: Callable[[int], Batch],
    settings: Train,
    seed: int,
    checkpoints: CheckpointFolder,
    speed: Speed,
    progress: Progress,
    trackers: Trackers,
) -> None:
    """Take the steps that are left, and leave a checkpoint of the last one.

    Args:
        state: where training stands; changed.
        batch_of: returns a step's batch, on the training device.
        settings: how many steps, how often a checkpoint.
        seed: seed of the dropout.
        checkpoints: where they go.
        speed: told about each step.
        progress: told about each step.
        trackers: told about each step.

    Raises:
        InputError: the loss or the gradient is no finite number; the weights are left as they were before that step.
    """
    state.objective.train()
    saved, due = state.step, time.monotonic() + settings.checkpoint_seconds
    for batch in _ahead(batch_of, state.step, settings.steps):
        _seed_dropout(seed, state.step)
        _take_step(state, batch, settings, checkpoints)
        speed.count(state.step, batch.pairs, batch.tokens)
        progress(state.step, settings.steps, "steps", loss=float(state.history[state.step - 1, 0]), pairs_per_s=speed.pairs_per_s)
        trackers.step(state.step, state.history[state.step - 1].tolist(), speed)
        if time.monotonic() >= due:
            checkpoints.save(state.step, state.tensors())
            saved, due = state.step, time.monotonic() + settings.checkpoint_seconds
    if saved < settings.steps:
        checkpoints.save(state.step, state.tensors())


def _take_step(state: TrainingState, batch: Batch, settings: Train, checkpoints: CheckpointFolder) -> None:
    losses, norm = _gradients(state, batch)
    mlm = losses.mlm if losses.mlm is not None else torch.full_like(losses.total, torch.nan)
    total, contrastive, masked, length = torch.stack([losses.total, losses.contrastive, mlm, norm]).tolist()
    rate = learning_rate(settings, state.step)
    if not (math.isfinite(total) and math.isfinite(length)):
        raise _diverged(total, length, state.step, rate, checkpoints)
    state.optimiser.update(state.step)
    state.history[state.step] = torch.tensor([total, contrastive, masked, rate, length], dtype=torch.float64)
    state.step += 1


def _gradients(state: TrainingState, batch: Batch) -> tuple[Losses, Tensor]:
    """Return the batch's losses and the gradient's norm, which is bounded by then."""
    try:
        losses: Losses = state.objective(batch)
        torch.autograd.backward(losses.total)
    except torch.OutOfMemoryError:
        raise InputError(
            "the device's memory is full", "lower train.batch_size or shard.max_length, or set train.precision=bf16"
        ) from None
    return losses, state.optimiser.bound_gradients()


def _diverged(loss: float, norm: float, step: int, rate: float, checkpoints: CheckpointFolder) -> InputError:
    return InputError(
        f"training came off the rails at step {step + 1}: loss {loss}, gradient norm {norm}, learning rate {rate:.3g}; "
        f"last good checkpoint: {checkpoints.newest_name()} in {checkpoints.folder}",
        "lower train.learning_rate or train.max_gradient_norm, raise train.warmup_steps, or set train.precision=fp32",
    )


def _seed_dropout(seed: int, step: int) -> None:
    """Make dropout a function of the step: the generators' states need not be kept."""
    torch.manual_seed(int(keys(seed, Purpose.DROPOUT, 0, np.array([step]))[0]) >> 1)


def _ahead(batch_of: Callable[[int], Batch], first: int, steps: int) -> Iterator[Batch]:
    """Make the next step's batch in a thread while this one is learnt from."""
    numbers = iter(range(first, steps))
    with ThreadPoolExecutor(1) as maker:
        waiting = deque(maker.submit(batch_of, step) for step in islice(numbers, 1))
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(maker.submit(batch_of, step) for step in islice(numbers, 1))
            yield batch
