"""The interface of trackers: all that mlctl knows of TensorBoard, MLflow, W&B and trackio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: Metrics of a step by name, e.g. {"train/loss": 1.2}; finite values only.
Metrics = Mapping[str, float]

#: The last step of a run of which nothing is recorded: the first that can be is 0, the judgement before training.
NOTHING_RECORDED = -1


@dataclass(frozen=True)
class Run:
    """A training to track. A run of the same `name` again resumes it.

    Attributes:
        project: project, in MLflow the experiment.
        name: unique name of the run.
        config: values that are shown beside the curves.
        folder: folder of the unfinished result.
        scratch: folder that survives a crash.
    """

    project: str
    name: str
    config: Mapping[str, str | int | float | bool | None]
    folder: Path
    scratch: Path


class Tracker(Protocol):
    """Tracks one training. What it raises becomes a warning in the log; training continues without it."""

    def start(self, run: Run) -> int:
        """Start or resume a run; return the last step that is recorded, or `NOTHING_RECORDED`.

        Every later step is passed to `log`, so that a training that was killed has no step twice and lacks none.
        """

    def log(self, step: int, metrics: Metrics) -> None:
        """Record the metrics of a step; steps count from 1 and come in order; 0 is before training."""

    def finish(self, complete: bool) -> None:
        """Close the run; `complete` unless training ended by an error."""
