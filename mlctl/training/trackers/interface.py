"""What a tracker is told, and what it answers: all that mlctl knows of TensorBoard, MLflow, W&B and trackio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: Figures of a step by name, e.g. {"train/loss": 1.2}; only finite ones.
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """The training that is followed: the same `name` again means that it goes on.

    `config` is shown beside the curves, `folder` is the result in the making, `notes` a folder that outlives a crash.
    """

    project: str
    name: str
    config: Mapping[str, str | int | float | bool | None]
    folder: Path
    notes: Path


class Tracker(Protocol):
    """Follows one training. What it raises is a warning in the log; training goes on without it."""

    def started(self, run: Run) -> int:
        """Begin with a run, or go on with it; return the last step that is on record, 0 for none.

        Every step after that is told by `step`, so that a training that was killed has no step twice and lacks none.
        """

    def step(self, step: int, figures: Figures) -> None:
        """Take in the figures of a step; steps count from 1 and come in order."""

    def finished(self, complete: bool) -> None:
        """Close the run; `complete` unless training ended by an error."""
