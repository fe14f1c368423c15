"""The training loop: one optimiser step after another, with regular checkpoints."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from mlctl.config import ResolvedTrain
from mlctl.core.workspace import Progress
from mlctl.errors import InputError
from mlctl.modeling.training_checkpoint import CheckpointFolder
from mlctl.training.collator import Batch
from mlctl.training.counter_rng import Stream, keys
from mlctl.training.distributed import ProcessGroup
from mlctl.training.divergence import DivergenceDetector, check_finite, check_rise
from mlctl.training.gradient_cache import forward_backward
from mlctl.training.gradient_reducer import GradientReducer
from mlctl.training.interruption import StopRequest, TrainingInterrupted
from mlctl.training.loss_fall import not_fallen, step_of_first_check
from mlctl.training.lr_schedule import learning_rate
from mlctl.training.objective import Losses
from mlctl.training.state import TrainingState
from mlctl.training.step_metrics import StepMetrics
from mlctl.training.temperature import clamp_temperatures
from mlctl.training.throughput import ThroughputMeter
from mlctl.training.trackers import Trackers

_log = logging.getLogger(__name__)

_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")  # torch's messages about main memory


@dataclass
class TrainingLoop:
    """Takes the steps that are left, and saves a checkpoint of the last one.

    Attributes:
        state: the training state, which each step changes.
        batch_of: returns a step's batch, on the training device.
        settings: number of steps, interval of checkpoints, and what a step does.
        seed: seed of the dropout.
        group: the processes that take the steps together; the main one logs and saves.
        checkpoints: where checkpoints are saved.
        throughput: updated after each step; judgements are not part of it.
        progress: called after each step.
        trackers: called after each step.
        stop: ends the training early, after a step.
    """

    state: TrainingState
    batch_of: Callable[[int], Batch]
    settings: ResolvedTrain
    seed: int
    group: ProcessGroup
    checkpoints: CheckpointFolder
    throughput: ThroughputMeter
    progress: Progress
    trackers: Trackers
    stop: StopRequest

    def __post_init__(self) -> None:
        objective = self.state.objective
        self._reducer = GradientReducer(objective.model.parameters(), objective.contrastive.parameters(), self.group)

    def run(self) -> None:
        """Train.

        Raises:
            InputError: the loss or the gradient is not finite (the weights are left as before that step), the loss has risen for
                good, or memory is full.
            TrainingInterrupted: a stop was requested; a checkpoint of the last step is saved.
        """
        state, settings = self.state, self.settings
        state.objective.train()
        divergence = DivergenceDetector(settings.max_loss_rise)
        saved_step, save_time = state.step, time.monotonic() + settings.checkpoint_seconds
        with _explain_out_of_memory(settings):
            if state.selection.is_due(state.step) and self._judge():
                self._log_judgement()
            for batch in _prefetch(self.batch_of, state.step, settings.steps):
                if self._is_stopped():
                    self._interrupt(saved_step)
                if state.selection.stops_early:
                    break
                self.train_step(batch)
                check_rise(divergence, state.losses, state.last_metrics, self.checkpoints)
                self._check_fall()
                if self.group.is_main and state.step == settings.steps:
                    self._save()  # the last judgement takes time, too
                if self._judge():
                    self._log(batch)
                if self.group.is_main and time.monotonic() >= save_time and state.step < settings.steps:
                    self._save()
                    saved_step, save_time = state.step, time.monotonic() + settings.checkpoint_seconds
        if state.selection.is_due(state.step):
            self._interrupt(state.step)  # the last judgement was stopped
        if self.group.is_main and saved_step < state.step < settings.steps:
            self._save()

    def train_step(self, batch: Batch) -> None:
        """Take one step: zero the gradients, forward and backward pass, clip, update, log."""
        state = self.state
        _seed_dropout(self.seed, state.step, self.group)

        state.optimiser.zero_grad()
        losses = forward_backward(state.objective, batch, self.group, self.settings.cache_gradients, self._reducer)
        gradient_norm = state.optimiser.clip_gradients()

        metrics = _metrics(losses, gradient_norm, learning_rate(self.settings, state.step))
        check_finite(metrics, state.step + 1, self.checkpoints)

        state.optimiser.step(state.step)
        clamp_temperatures(state.objective)

        state.record(metrics)
        state.selection.count_step(state.step)

    def _judge(self) -> bool:
        """Judge the weights if that is due; return whether the step is finished: a requested stop ends a judgement."""
        selection, step = self.state.selection, self.state.step
        if not selection.is_due(step):
            return True
        with self.throughput.paused():
            is_finished = selection.judge(step, self._is_stopped)
        if is_finished and self.group.is_main:
            _log.info("%s", selection.describe(step))
            if selection.stops_early and step < self.settings.steps:
                _log.info("training stops early: %d judgements without a new best", self.settings.early_stopping_patience)
        return is_finished

    def _log(self, batch: Batch) -> None:
        """Report a step that is finished."""
        if not self.group.is_main:
            return
        step, metrics, selection = self.state.step, self.state.last_metrics, self.state.selection
        self.throughput.update(step, batch.pairs, batch.tokens)
        rates = {"loss": metrics.loss, "pairs_per_s": self.throughput.pairs_per_s}
        self.progress(step, self.settings.steps, "steps", **rates, **selection.progress_figures())
        self.trackers.step(step, metrics, self.throughput, selection.figures(step))

    def _log_judgement(self) -> None:
        """Report a judgement that precedes the first step of this start: before training, or of a step whose judgement was stopped."""
        if self.group.is_main:
            row = self.state.last_metrics if self.state.step else ()
            self.trackers.step(self.state.step, row, None, self.state.selection.figures(self.state.step))

    def _is_stopped(self) -> bool:
        return self.group.any(self.stop.is_made, self.state.device)

    def _check_fall(self) -> None:
        """Warn once if the loss has not fallen after a tenth of the steps."""
        if not self.group.is_main or self.state.step != step_of_first_check(self.settings):
            return
        if reason := not_fallen(self.state.losses, self.state.contrastive_losses, self.settings):
            _log.warning("THIS TRAINING LEARNS NOTHING: %s", reason)

    def _interrupt(self, saved_step: int) -> None:
        """Save the steps so far, unless they are, and stop."""
        if self.group.is_main and saved_step < self.state.step:
            self._save()
        self.stop.finished.set()
        raise TrainingInterrupted(self.state.step, self.settings.steps)

    def _save(self) -> None:
        self.checkpoints.save(self.state.step, self.state.tensors(), self.state.recent_loss)


def _metrics(losses: Losses, gradient_norm: Tensor, rate: float) -> StepMetrics:
    """Copy the metrics of a step from the device, all at once."""
    mlm = losses.mlm if losses.mlm is not None else torch.full_like(losses.total, torch.nan)
    total, contrastive, mlm_loss, norm = torch.stack([losses.total, losses.contrastive, mlm, gradient_norm]).tolist()
    return StepMetrics(total, contrastive, mlm_loss, rate, norm)


@contextlib.contextmanager
def _explain_out_of_memory(settings: ResolvedTrain) -> Iterator[None]:
    """Turn out-of-memory errors inside the block, of a GPU or of main memory, into an InputError with settings that need less."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        out_of_memory = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if not out_of_memory and not any(message in str(error) for message in _OUT_OF_MEMORY):
            raise
        first_remedy = "lower train.micro_batch_size" if settings.cache_gradients else "set train.cache_gradients=true"
        raise InputError(
            "the device's memory is full",
            f"{first_remedy}, lower train.batch_size or shard.max_length, or set train.precision=bf16",
        ) from None


def _seed_dropout(seed: int, step: int, group: ProcessGroup) -> None:
    """Make dropout a function of the step and the process, so that checkpoints need no generator states."""
    torch.manual_seed(int(keys(seed, Stream.DROPOUT, group.rank, np.array([step]))[0]) >> 1)


def _prefetch(batch_of: Callable[[int], Batch], first: int, steps: int) -> Iterator[Batch]:
    """Make the next step's batch in a thread while this one is trained on."""
    remaining = iter(range(first, steps))
    with ThreadPoolExecutor(1) as executor:
        pending = deque(executor.submit(batch_of, step) for step in islice(remaining, 1))
        while pending:
            batch = pending.popleft().result()
            pending.extend(executor.submit(batch_of, step) for step in islice(remaining, 1))
            yield batch
