"""Trackers: whoever shows curves of a training while it goes on. Imports none of their libraries before they are asked for."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mlctl.config import Train
from mlctl.core import url_redaction
from mlctl.errors import InputError
from mlctl.training.trackers.guard import Guarded, InBackground
from mlctl.training.trackers.interface import Figures, Run, Tracker

__all__ = ["NOBODY", "Figures", "Rates", "Run", "Tracker", "Trackers", "check", "name_of", "tracking"]


class Rates(Protocol):
    """How fast training goes."""

    pairs_per_s: float
    tokens_per_s: float


def check(settings: Train) -> None:
    """Look whether the libraries of the trackers that the recipe names are installed.

    Raises:
        InputError: one is not.
    """
    missing = [name for name in settings.trackers if name != "tensorboard" and importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"train.trackers names {', '.join(missing)}, which is not installed here",
            f"run `pip install 'mlctl[{','.join(missing)}]'`, or take it out of train.trackers",
        )


def name_of(folder: Path, notes: Path) -> str:
    """Return the name under which trackers list the training in `folder`: drawn once, and the same after a crash."""
    note = notes / "tracked-as"
    if not note.exists() or not note.read_text():
        note.write_text(f"{folder.name[:8]}-{uuid.uuid4().hex[:6]}")
    return note.read_text()


class Trackers:
    """The trackers of one training, told about every `every`th step."""

    def __init__(self, trackers: Sequence[Guarded | InBackground], every: int, names: Sequence[str]) -> None:
        self._trackers, self._every, self._names = trackers, every, [f"train/{name}" for name in names]

    def started(self, run: Run, past: Sequence[Sequence[float]]) -> None:
        """Begin; `past` has the figures of the steps before this start, which a tracker may not have got."""
        for tracker in self._trackers:
            known = tracker.started(run)
            for step in range(known + 1, len(past) + 1):
                if step % self._every == 0:
                    tracker.step(step, self._finite(past[step - 1]))

    def step(self, step: int, row: Sequence[float], rates: Rates) -> None:
        """Take in a step: its figures in the order of the history's columns, NaN where there is none, and the speed."""
        if step % self._every == 0:
            speed = {"speed/pairs_per_s": rates.pairs_per_s, "speed/tokens_per_s": rates.tokens_per_s}
            for tracker in self._trackers:
                tracker.step(step, {**self._finite(row), **speed})

    def finished(self, complete: bool) -> None:
        """Close every run."""
        for tracker in self._trackers:
            tracker.finished(complete)

    def _finite(self, row: Sequence[float]) -> Figures:
        return {name: float(figure) for name, figure in zip(self._names, row, strict=True) if math.isfinite(figure)}


#: For a process that leads no training.
NOBODY = Trackers([], 1, [])


@contextlib.contextmanager
def tracking(
    settings: Train,
    config: Mapping[str, Any],
    folder: Path,
    notes: Path,
    names: Sequence[str],
    past: Sequence[Sequence[float]],
) -> Iterator[Trackers]:
    """Follow a training while the block lasts.

    Args:
        settings: which trackers, and how often they are told.
        config: JSON values that are shown beside the curves, sections within sections by dotted names.
        folder: the result in the making.
        notes: a folder that outlives a crash.
        names: of the figures of a step.
        past: figures of the steps that are done.
    """
    trackers = Trackers([_make(name) for name in settings.trackers], settings.track_every, names)
    trackers.started(Run(settings.track_project, name_of(folder, notes), dict(_flat(config)), folder, notes), past)
    complete = False
    try:
        yield trackers
        complete = True
    finally:
        trackers.finished(complete)


def _flat(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", url_redaction.for_records(value)


def _make(name: str) -> Guarded | InBackground:
    """Return a tracker of the name; those that may talk over a network work in a thread of their own."""
    if name == "tensorboard":
        from mlctl.training.trackers.tensorboard import TensorBoard

        return Guarded(name, TensorBoard())
    return InBackground(Guarded(name, _networked(name)))


def _networked(name: str) -> Tracker:
    if name == "mlflow":
        from mlctl.training.trackers.mlflow import MLflow

        return MLflow()
    if name == "wandb":
        from mlctl.training.trackers.wandb import WandB

        return WandB()
    from mlctl.training.trackers.trackio import Trackio

    return Trackio()
