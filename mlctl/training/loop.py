"""The training loop: one optimiser step after another, with regular checkpoints."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from mlctl.config import ResolvedTrain
from mlctl.core.workspace import Progress
from mlctl.errors import InputError
from mlctl.modeling.compilation import compile_error
from mlctl.modeling.fully_sharded import is_sharded
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

_READ_EVERY = 10  # steps, on a GPU: reading a step's metrics waits for the device; it divides divergence.BLOCK

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
    _saved_step: int = field(init=False, default=0)
    _save_time: float = field(init=False, default=0.0)
    _saves_together: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        objective = self.state.objective
        whole = [weight for weight in objective.model.parameters() if not is_sharded(weight)]
        self._reducer = GradientReducer(whole, objective.contrastive.parameters(), self.group)
        self._saves_together = any(map(is_sharded, objective.model.parameters()))

    def run(self) -> None:
        """Train.

        Raises:
            InputError: the loss or the gradient is not finite (such a step does not change the weights, and no checkpoint is saved
                after it), the loss has risen for good, or memory is full.
            TrainingInterrupted: a stop was requested; a checkpoint of the last step is saved.
        """
        state, settings = self.state, self.settings
        state.objective.train()
        divergence = DivergenceDetector(settings.max_loss_rise)
        self._saved(state.step)
        with _explain_errors_of_torch(settings):
            if state.selection.is_due(state.step) and self._judge():
                self._log_judgement()
            for batch in _prefetch(self.batch_of, state.step, settings.steps):
                if state.step % self._interval == 0 and self._is_stopped():
                    self._interrupt()
                if state.selection.stops_early:
                    break
                self.train_step(batch)
                self.throughput.update(state.step, batch.pairs, batch.tokens)
                if self._is_reading_due():
                    self._finish_steps(divergence)
        if state.selection.is_due(state.step):
            self._interrupt()  # the last judgement was stopped
        if state.step < settings.steps:
            self._save()

    def train_step(self, batch: Batch) -> None:
        """Take one step: zero the gradients, forward and backward pass, clip, update. Nothing in it waits for a GPU."""
        state = self.state
        _seed_dropout(self.seed, state.step, self.group)

        state.optimiser.zero_grad()
        losses = forward_backward(state.objective, batch, self.group, self.settings.cache_gradients, self._reducer)
        gradient_norm = state.optimiser.clip_gradients()

        state.optimiser.step(state.step, gradient_norm)
        clamp_temperatures(state.objective)

        state.record(_metrics(losses, gradient_norm, learning_rate(self.settings, state.step)))
        state.selection.count_step(state.step)

    @property
    def _interval(self) -> int:
        """Steps between two readings of the metrics, and between two questions to the other processes whether to stop."""
        return 1 if self.state.device.type == "cpu" else _READ_EVERY

    def _is_reading_due(self) -> bool:
        step, settings = self.state.step, self.settings
        is_special = step in (settings.steps, step_of_first_check(settings)) or self.state.selection.is_due(step)
        return is_special or step % self._interval == 0 or self._is_save_due()

    def _is_save_due(self) -> bool:
        """Return whether a checkpoint is due, by the main process's clock; processes that save together agree on it."""
        is_due = self.group.is_main and time.monotonic() >= self._save_time and self.state.step < self.settings.steps
        if not self._saves_together:
            return is_due
        return self.state.step % self._interval == 0 and self.group.any(is_due, self.state.device)

    def _finish_steps(self, divergence: DivergenceDetector) -> None:
        """Read the metrics of the steps since the last reading; stop a training that has diverged; judge, report and save as due."""
        state, is_save_due = self.state, self._is_save_due()
        steps = state.read_metrics()
        for step in steps:
            check_finite(state.metrics(step), step, self.checkpoints)
        check_rise(divergence, state.losses, state.last_metrics, self.checkpoints)
        self._check_fall()
        if state.step == self.settings.steps:
            self._save()  # the last judgement takes time, too
        if self._judge():
            self._log(steps)
        if is_save_due:
            self._save()

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

    def _log(self, steps: range) -> None:
        """Report steps that are finished."""
        if not self.group.is_main:
            return
        state, selection = self.state, self.state.selection
        for step in steps:
            self.trackers.step(step, state.metrics(step), self.throughput, selection.figures(step))
        rates = {"loss": state.last_metrics.loss, "pairs_per_s": self.throughput.pairs_per_s}
        self.progress(state.step, self.settings.steps, "steps", **rates, **selection.progress_figures())

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

    def _interrupt(self) -> None:
        """Save the steps so far, and stop."""
        self._save()
        self.stop.finished.set()
        raise TrainingInterrupted(self.state.step, self.settings.steps)

    def _save(self) -> None:
        """Save a checkpoint, as the main process or together, unless this step has one."""
        if (self.group.is_main or self._saves_together) and self._saved_step < self.state.step:
            self.checkpoints.save(self.state.step, self.state.tensors(), self.state.recent_loss)
            self._saved(self.state.step)

    def _saved(self, step: int) -> None:
        """Note that there is a checkpoint of a step; the next one is due some time later."""
        self._saved_step, self._save_time = step, time.monotonic() + self.settings.checkpoint_seconds


def _metrics(losses: Losses, gradient_norm: Tensor, rate: float) -> Tensor:
    """Return the metrics of a step, in the columns of StepMetrics, on its device."""
    columns = dict.fromkeys(StepMetrics._fields, torch.full_like(losses.total, torch.nan, dtype=torch.float64))
    columns |= {"loss": losses.total, "contrastive": losses.contrastive, "gradient_norm": gradient_norm}
    columns["learning_rate"] = torch.full_like(columns["mlm"], rate)
    if losses.mlm is not None:
        columns["mlm"] = losses.mlm
    return torch.stack([column.detach().to(torch.float64) for column in columns.values()])


@contextlib.contextmanager
def _explain_errors_of_torch(settings: ResolvedTrain) -> Iterator[None]:
    """Turn errors of full memory, of a GPU or of main memory, and of torch.compile into an InputError with the setting to change."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if explained := compile_error(error):
            raise explained from error
        out_of_memory = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if not out_of_memory and not any(message in str(error) for message in _OUT_OF_MEMORY):
            raise
        first_remedy = "lower train.micro_batch_tokens" if settings.cache_gradients else "set train.cache_gradients=true"
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
