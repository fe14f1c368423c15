"""Experiment trackers: TensorBoard, MLflow, W&B, trackio. Their libraries are imported only when a recipe names them."""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mlctl.config import Train
from mlctl.core.url_redaction import redact_values
from mlctl.core.workspace import Workspace
from mlctl.training.trackers.guard import BackgroundTracker, GuardedTracker
from mlctl.training.trackers.registry import check, create_tracker
from mlctl.training.trackers.tracker import Metrics, Run, Tracker

__all__ = ["NO_TRACKERS", "Metrics", "Run", "Throughput", "Tracker", "Trackers", "check", "run_name", "tracking"]


class Throughput(Protocol):
    """The throughput of a training."""

    pairs_per_s: float
    tokens_per_s: float


def run_name(folder: Path, scratch: Path) -> str:
    """Return the name of the run of the training in `folder`: random at first, and the same after a crash."""
    name, recorded = "tracked-as", Workspace(scratch)
    if not recorded.has(name):
        with recorded.part(name) as file:
            file.write_text(f"{folder.name[:8]}-{uuid.uuid4().hex[:6]}")
    return recorded.path(name).read_text()


class Trackers:
    """The trackers of one training, which receive every `every`th step."""

    def __init__(self, trackers: Sequence[GuardedTracker | BackgroundTracker], every: int, names: Sequence[str]) -> None:
        self._trackers, self._every, self._names = trackers, every, [f"train/{name}" for name in names]

    def start(self, run: Run, past: Sequence[Sequence[float]]) -> None:
        """Start the run; `past` holds the metrics of the steps before this start, which a tracker may lack."""
        for tracker in self._trackers:
            last_step = tracker.start(run)
            for step in range(last_step + 1, len(past) + 1):
                if step % self._every == 0:
                    tracker.log(step, self._finite(past[step - 1]))

    def step(self, step: int, row: Sequence[float], throughput: Throughput) -> None:
        """Record a step: its metrics in the order of the history's columns, NaN where there is none, and the throughput."""
        if step % self._every == 0:
            speed = {"speed/pairs_per_s": throughput.pairs_per_s, "speed/tokens_per_s": throughput.tokens_per_s}
            for tracker in self._trackers:
                tracker.log(step, {**self._finite(row), **speed})

    def finish(self, complete: bool) -> None:
        """Close every run."""
        for tracker in self._trackers:
            tracker.finish(complete)

    def _finite(self, row: Sequence[float]) -> Metrics:
        return {name: float(value) for name, value in zip(self._names, row, strict=True) if math.isfinite(value)}


#: For the processes of a training that are not the main one.
NO_TRACKERS = Trackers([], 1, [])


@contextlib.contextmanager
def tracking(
    settings: Train,
    config: Mapping[str, Any],
    folder: Path,
    scratch: Path,
    names: Sequence[str],
    past: Sequence[Sequence[float]],
) -> Iterator[Trackers]:
    """Track a training inside the block.

    Args:
        settings: which trackers, and at which interval of steps.
        config: JSON values that are shown beside the curves; nested sections get dotted names.
        folder: folder of the unfinished result.
        scratch: a folder that survives a crash.
        names: names of the metrics of a step.
        past: metrics of the steps that are done.
    """
    trackers = Trackers([create_tracker(name) for name in settings.trackers], settings.track_every, names)
    trackers.start(Run(settings.track_project, run_name(folder, scratch), dict(_flatten(config)), folder, scratch), past)
    complete = False
    try:
        yield trackers
        complete = True
    finally:
        trackers.finish(complete)


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", redact_values(value, name)
