"""What a training writes besides the model: steps, judgements, which weights were selected; and its metrics."""

from __future__ import annotations

import json
import logging
import math
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.config import ResolvedTrain
from mlctl.core.workspace import Workspace
from mlctl.schema import STEPS
from mlctl.training.distributed import ProcessGroup
from mlctl.training.judge import figure
from mlctl.training.loss_fall import not_fallen
from mlctl.training.state import TrainingState
from mlctl.training.step_metrics import StepMetrics
from mlctl.training.temperature import learned_temperatures
from mlctl.training.trackers import tensorboard
from mlctl.training.weight_interpolation import Interpolation

#: Which weights are written: the step, the number of steps that they are the mean of, λ of the interpolation and what was tried.
SELECTION_FILE = "model_selection.json"

_TOLERANCE = 0.01  # a fall of the figure of the judgements that may be chance

Metrics = dict[str, str | int | float | None]

_log = logging.getLogger(__name__)


def write_results(
    workspace: Workspace, state: TrainingState, settings: ResolvedTrain, interpolation: Interpolation, speed_file: Path
) -> None:
    """Write `steps.parquet`, `judgements.parquet`, `model_selection.json` and `speed.jsonl`; finish TensorBoard's file."""
    with workspace.part("steps.parquet") as path:
        pq.write_table(_steps_table(state), path, compression="zstd")
    with workspace.part("judgements.parquet") as path:
        pq.write_table(state.selection.table(), path, compression="zstd")
    with workspace.part(SELECTION_FILE) as path:
        selection = {
            "step": state.selection.written_step(state.step),
            "steps": state.step,
            "average_steps": settings.average_steps,
            "interpolate": interpolation.value,
            "candidates": interpolation.candidates,
        }
        path.write_text(json.dumps(selection, indent=1) + "\n", encoding="utf-8")
    with workspace.part("speed.jsonl") as path:
        speed_file.touch()
        shutil.copyfile(speed_file, path)
    if workspace.path(tensorboard.FILE).is_file():
        workspace.finish(tensorboard.FILE)


def training_metrics(state: TrainingState, settings: ResolvedTrain, interpolation: Interpolation, group: ProcessGroup) -> Metrics:
    """Return the metrics that follow from the state of a training that has ended; the main process warns of a training that failed."""
    last_tenth = math.ceil(state.step / 10)
    reason = not_fallen(state.losses, state.contrastive_losses, settings)
    if reason and group.is_main:
        _log.warning("THIS TRAINING HAS LEARNED NOTHING: %s", reason)
    temperatures = [log_temperature.exp().item() for log_temperature in learned_temperatures(state.objective.contrastive)]
    return {
        "steps": state.step,
        "loss": float(state.losses[-last_tenth:].mean()),
        "pairs": state.step * settings.batch_size,
        "parameters": sum(weight.numel() for weight in state.objective.model.parameters()),
        **dict(zip(("temperature", "word_temperature"), temperatures, strict=False)),
        **({"not_fallen": reason} if reason else {}),
        **_selection_metrics(state, interpolation, group),
    }


def _selection_metrics(state: TrainingState, interpolation: Interpolation, group: ProcessGroup) -> Metrics:
    """Return the figures of the judgements before training and of what is written, and which weights these are."""
    selection = state.selection
    metrics: Metrics = {} if interpolation.value == 1 else {"interpolate": interpolation.value}
    if not selection.judgements:
        return metrics
    step = selection.written_step(state.step)
    before, after = (figure(selection.judgements[at]) for at in (0, step))
    after = after if interpolation.figure is None else interpolation.figure
    if group.is_main and not step:
        _log.warning("THIS TRAINING DOES NOT HELP: no judgement is better than before training, and those weights are written")
    elif group.is_main and after < before - _TOLERANCE:
        _log.warning(
            "THIS TRAINING DOES HARM: retrieval on the dev pairs is %.1f%% before and %.1f%% after it; lower train.learning_rate, or set "
            "train.load_best_model_at_end=true",
            100 * before,
            100 * after,
        )
    return {**metrics, "written_step": step, "dev_before": before, "dev_after": after}


def _steps_table(state: TrainingState) -> pa.Table:
    """Return the history in schema STEPS; steps count from 1."""
    columns = [pa.array(column, from_pandas=True) for column in state.history[: state.step].numpy().T]  # NaN becomes null
    return pa.table([pa.array(range(1, state.step + 1)), *columns], names=["step", *StepMetrics._fields]).cast(STEPS)
