"""Progress of a stage: a bar in a terminal, periodic log lines elsewhere, and Prefect's progress artifact."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext
from tqdm import tqdm

from mlctl.core.workspace import Progress

logger = logging.getLogger("mlctl.progress")

_LOG_SECONDS = 15.0
_ARTIFACT_SECONDS = 5.0  # one update costs 30 to 110 ms


@contextlib.contextmanager
def show_progress(stage: str) -> Iterator[Progress]:
    """Yield the `Progress` of a stage; its reports are shown until the block ends."""
    views = [_Bar(stage) if sys.stderr.isatty() else _Log(stage), *([_Artifact(stage)] if TaskRunContext.get() else [])]

    def progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        for view in views:
            view.show(done, total, unit, figures)

    try:
        yield progress
        for view in views:
            view.finish()
    finally:
        for view in views:
            view.close()


class _View:
    """One display of progress, with a minimum interval in seconds between updates."""

    def __init__(self, stage: str, seconds: float) -> None:
        self.stage, self.seconds, self.updated_at = stage, seconds, time.monotonic()

    def show(self, done: int, total: int | None, unit: str, figures: dict[str, float | str]) -> None:
        if time.monotonic() - self.updated_at >= self.seconds:
            self.draw(done, total, unit, figures)
            self.updated_at = time.monotonic()

    def draw(self, done: int, total: int | None, unit: str, figures: dict[str, float | str]) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Show that the stage is done."""

    def close(self) -> None:
        """Remove the display."""


class _Bar(_View):
    def __init__(self, stage: str) -> None:
        super().__init__(stage, 0.1)
        self.bar: Any = None

    def draw(self, done: int, total: int | None, unit: str, figures: dict[str, float | str]) -> None:
        if self.bar is None or self.bar.unit != f" {unit}":
            self.close()
            self.bar = tqdm(desc=self.stage, total=total, unit=f" {unit}", initial=done, leave=False, dynamic_ncols=True)
        self.bar.set_postfix({name: _short(value) for name, value in figures.items()}, refresh=False)
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class _Log(_View):
    def __init__(self, stage: str) -> None:
        super().__init__(stage, _LOG_SECONDS)
        self.first: tuple[float, int] | None = None

    def show(self, done: int, total: int | None, unit: str, figures: dict[str, float | str]) -> None:
        self.first = self.first or (time.monotonic(), done)
        super().show(done, total, unit, figures)

    def draw(self, done: int, total: int | None, unit: str, figures: dict[str, float | str]) -> None:
        details = ", ".join(f"{name} {_short(value)}" for name, value in figures.items())
        logger.info(
            "%s: %s%s %s%s%s",
            self.stage,
            done,
            f" of {total}" if total else "",
            unit,
            details and f", {details}",
            self._time_left(done, total),
        )

    def _time_left(self, done: int, total: int | None) -> str:
        if not total or not self.first or done <= self.first[1]:
            return ""
        seconds = (total - done) * (time.monotonic() - self.first[0]) / (done - self.first[1])
        return f", {int(seconds // 60)}:{int(seconds % 60):02d} left"


class _Artifact(_View):
    def __init__(self, stage: str) -> None:
        super().__init__(stage, _ARTIFACT_SECONDS)
        self.id: Any = None
        self.percent = -1.0

    def draw(self, done: int, total: int | None, unit: str, figures: dict[str, float | str]) -> None:
        del figures  # the artifact shows one number
        if not total:
            return
        percent = round(100 * done / total, 1)
        if self.id is None:
            self.id = create_progress_artifact(percent, key=f"{self.stage}-progress", description=f"{self.stage}: {unit}")
        elif percent != self.percent:
            update_progress_artifact(self.id, percent)
        self.percent = percent

    def finish(self) -> None:
        if self.id is not None and self.percent < 100.0:
            update_progress_artifact(self.id, 100.0)


def _short(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
