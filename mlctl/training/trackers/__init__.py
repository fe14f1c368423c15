"""Experiment trackers: TensorBoard, MLflow, W&B, trackio. Their libraries are imported only when a recipe names them."""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from mlctl.config import Train
from mlctl.core.url_redaction import redact_values
from mlctl.core.workspace import Workspace
from mlctl.training.trackers.guard import BackgroundTracker, GuardedTracker
from mlctl.training.trackers.registry import check, create_tracker
from mlctl.training.trackers.tracker import Metrics, Run, Tracker

__all__ = ["NO_TRACKERS", "Metrics", "Past", "Run", "Throughput", "Tracker", "Trackers", "check", "run_name", "tracking"]


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


_NONE: Metrics = MappingProxyType({})


@dataclass(frozen=True)
class Past:
    """The steps of a training before it was started this time.

    Attributes:
        finished: the last step that is finished, -1: none; step 0 is the judgement before training.
        rows: metrics of the steps from 1 on.
        judgements: figures of the judged steps.
    """

    finished: int = -1
    rows: Sequence[Sequence[float]] = ()
    judgements: Mapping[int, Metrics] = field(default_factory=dict)


class Trackers:
    """The trackers of one training, which receive every `every`th step."""

    def __init__(self, trackers: Sequence[GuardedTracker | BackgroundTracker], every: int, names: Sequence[str]) -> None:
        self._trackers, self._every, self._names = trackers, every, [f"train/{name}" for name in names]

    def start(self, run: Run, past: Past) -> None:
        """Start the run; `past` holds the steps before this start, which a tracker may lack."""
        for tracker in self._trackers:
            last_step = tracker.start(run)
            for step in range(last_step + 1, past.finished + 1):
                row = past.rows[step - 1] if step else ()
                if metrics := self._metrics(step, row, past.judgements.get(step, {})):
                    tracker.log(step, metrics)

    def step(self, step: int, row: Sequence[float], throughput: Throughput | None, judgement: Metrics = _NONE) -> None:
        """Record a step.

        Args:
            step: its number; 0 is before training.
            row: its metrics in the order of the history's columns, NaN where there is none; empty before training.
            throughput: of the training; None: not known.
            judgement: figures of a judgement; a judged step is recorded whatever the interval is.
        """
        if metrics := self._metrics(step, row, judgement):
            speed = {f"speed/{name}": getattr(throughput, name) for name in ("pairs_per_s", "tokens_per_s") if throughput}
            for tracker in self._trackers:
                tracker.log(step, {**metrics, **speed})

    def finish(self, complete: bool) -> None:
        """Close every run."""
        for tracker in self._trackers:
            tracker.finish(complete)

    def _metrics(self, step: int, row: Sequence[float], judgement: Metrics) -> Metrics:
        """Return the metrics that are recorded of a step; empty: none."""
        if not judgement and (not step or step % self._every):
            return {}
        own = zip(self._names, row, strict=True) if row else ()
        return {**{name: float(value) for name, value in own if math.isfinite(value)}, **judgement}


#: For the processes of a training that are not the main one.
NO_TRACKERS = Trackers([], 1, [])


@contextlib.contextmanager
def tracking(
    settings: Train,
    config: Mapping[str, Any],
    folder: Path,
    scratch: Path,
    names: Sequence[str],
    past: Past,
) -> Iterator[Trackers]:
    """Track a training inside the block.

    Args:
        settings: which trackers, and at which interval of steps.
        config: JSON values that are shown beside the curves; nested sections get dotted names.
        folder: folder of the unfinished result.
        scratch: a folder that survives a crash.
        names: names of the metrics of a step.
        past: the steps that are done.
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
