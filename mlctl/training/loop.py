"""The loop: one optimiser step after the other, a checkpoint now and then."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch

from mlctl.config import Train
from mlctl.core.workspace import Progress
from mlctl.errors import InputError
from mlctl.modeling.checkpoint import CheckpointFolder
from mlctl.training.collator import Batch
from mlctl.training.counter_rng import Purpose, keys
from mlctl.training.distributed import Team
from mlctl.training.divergence import Divergence
from mlctl.training.gradients import add_gradients
from mlctl.training.optimiser import learning_rate
from mlctl.training.state import TrainingState
from mlctl.training.temperature import keep_above_lowest
from mlctl.training.throughput import Speed
from mlctl.training.trackers import Trackers

_NO_MEMORY = ("can't allocate memory", "not enough memory")  # what torch says of a full main memory


def train_steps(
    state: TrainingState,
    batch_of: Callable[[int], Batch],
    settings: Train,
    seed: int,
    team: Team,
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
        team: the processes that take the steps together; the leading one writes and tells.
        checkpoints: where they go.
        speed: told about each step.
        progress: told about each step.
        trackers: told about each step.

    Raises:
        InputError: the loss or the gradient is no finite number (the weights are left as they were before that step), the loss
            has risen for good, or memory is full.
    """
    state.objective.train()
    divergence = Divergence(settings.max_loss_rise)
    saved, due = state.step, time.monotonic() + settings.checkpoint_seconds
    with _memory_for(settings):
        for batch in _ahead(batch_of, state.step, settings.steps):
            _seed_dropout(seed, state.step, team)
            _take_step(state, batch, settings, team, checkpoints)
            if team.leads:
                speed.count(state.step, batch.pairs, batch.tokens)
                progress(state.step, settings.steps, "steps", loss=float(state.losses[-1]), pairs_per_s=speed.pairs_per_s)
                trackers.step(state.step, state.history[state.step - 1].tolist(), speed)
            _stop_if_risen(divergence, state, checkpoints)
            if team.leads and time.monotonic() >= due:
                checkpoints.save(state.step, state.tensors(), state.recent_loss)
                saved, due = state.step, time.monotonic() + settings.checkpoint_seconds
    if team.leads and saved < settings.steps:
        checkpoints.save(state.step, state.tensors(), state.recent_loss)


def _take_step(state: TrainingState, batch: Batch, settings: Train, team: Team, checkpoints: CheckpointFolder) -> None:
    losses = add_gradients(state.objective, batch, team, settings.cache_gradients)
    norm = state.optimiser.bound_gradients()
    mlm = losses.mlm if losses.mlm is not None else torch.full_like(losses.total, torch.nan)
    total, contrastive, masked, length = torch.stack([losses.total, losses.contrastive, mlm, norm]).tolist()
    rate = learning_rate(settings, state.step)
    if not (math.isfinite(total) and math.isfinite(length)):
        raise _derailed(f"loss {total}, gradient norm {length}", state.step + 1, rate, checkpoints.newest_name(), checkpoints)
    state.optimiser.update(state.step)
    keep_above_lowest(state.objective)
    state.history[state.step] = torch.tensor([total, contrastive, masked, rate, length], dtype=torch.float64)
    state.step += 1


def _stop_if_risen(divergence: Divergence, state: TrainingState, checkpoints: CheckpointFolder) -> None:
    """Stop when the loss has risen for good; newer checkpoints than the best are no good then."""
    said = divergence.look(state.losses)
    if said:
        rate = float(state.history[state.step - 1, 3])
        error = _derailed(said, state.step, rate, checkpoints.best_name(), checkpoints)
        raise InputError(error.problem, f"{error.remedy}; raise train.max_loss_rise if it was to rise")


def _derailed(figures: str, step: int, rate: float, good: str, checkpoints: CheckpointFolder) -> InputError:
    return InputError(
        f"training came off the rails at step {step}: {figures}, learning rate {rate:.3g}; "
        f"last good checkpoint: {good} in {checkpoints.folder}",
        "lower train.learning_rate or train.max_gradient_norm, raise train.warmup_steps, or set train.precision=fp32",
    )


@contextlib.contextmanager
def _memory_for(settings: Train) -> Iterator[None]:
    """Turn full memory inside the block, of a GPU or the main one, into an InputError that says what takes less."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        full = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(sign in str(error) for sign in _NO_MEMORY)
        if not full:
            raise
        cheapest = "lower train.micro_batch_size" if settings.cache_gradients else "set train.cache_gradients=true"
        raise InputError(
            "the device's memory is full",
            f"{cheapest}, lower train.batch_size or shard.max_length, or set train.precision=bf16",
        ) from None


def _seed_dropout(seed: int, step: int, team: Team) -> None:
    """Make dropout a function of the step and the process: the generators' states need not be kept."""
    torch.manual_seed(int(keys(seed, Purpose.DROPOUT, team.rank, np.array([step]))[0]) >> 1)


def _ahead(batch_of: Callable[[int], Batch], first: int, steps: int) -> Iterator[Batch]:
    """Make the next step's batch in a thread while this one is learnt from."""
    numbers = iter(range(first, steps))
    with ThreadPoolExecutor(1) as maker:
        waiting = deque(maker.submit(batch_of, step) for step in islice(numbers, 1))
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(maker.submit(batch_of, step) for step in islice(numbers, 1))
            yield batch
