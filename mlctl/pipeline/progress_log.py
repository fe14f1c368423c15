"""Progress of a stage as log lines, now and then: where there is no terminal for a bar."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("mlctl.progress")

_LOG_SECONDS = 15.0


class ProgressView:
    """One display of progress, with a minimum interval in seconds between updates."""

    def __init__(self, stage: str, seconds: float) -> None:
        self.stage, self.seconds, self.updated_at = stage, seconds, time.monotonic()

    def show(self, done: int, total: int | None, unit: str, figures: dict[str, float | str]) -> None:
        """Show how far the stage is, unless the last update was a moment ago."""
        if time.monotonic() - self.updated_at >= self.seconds:
            self.draw(done, total, unit, figures)
            self.updated_at = time.monotonic()

    def draw(self, done: int, total: int | None, unit: str, figures: dict[str, float | str]) -> None:
        """Show how far the stage is."""
        raise NotImplementedError

    def finish(self) -> None:
        """Show that the stage is done."""

    def close(self) -> None:
        """Remove the display."""


class ProgressLog(ProgressView):
    """A log line every 15 seconds, with the time that is left."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage, _LOG_SECONDS)
        self.first: tuple[float, int] | None = None

    def show(self, done: int, total: int | None, unit: str, figures: dict[str, float | str]) -> None:
        """Show how far the stage is, unless the last line was a moment ago."""
        self.first = self.first or (time.monotonic(), done)
        super().show(done, total, unit, figures)

    def draw(self, done: int, total: int | None, unit: str, figures: dict[str, float | str]) -> None:
        """Log a line."""
        details = ", ".join(f"{name} {short(value)}" for name, value in figures.items())
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


def short(value: float | str) -> str:
    """Return a figure with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
