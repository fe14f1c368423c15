"""Wrappers around trackers: errors become warnings, and slow trackers run in a background thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

from mlctl.training.trackers.tracker import NOTHING_RECORDED, Metrics, Run, Tracker

_log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 30.0  # that the end of training waits for a tracker to send its queue


class GuardedTracker:
    """A tracker that never stops training: its first error is logged as a warning and disables it."""

    def __init__(self, name: str, tracker: Tracker) -> None:
        self.name, self._tracker = name, tracker
        self._last_step, self._disabled = NOTHING_RECORDED, False

    def start(self, run: Run) -> int:
        """Start the run; return the last step that is recorded."""
        self._try(partial(self._start, run))
        return self._last_step

    def log(self, step: int, metrics: Metrics) -> None:
        """Record a step, unless it is recorded already."""
        if step > self._last_step:
            self._try(partial(self._tracker.log, step, metrics))

    def finish(self, complete: bool) -> None:
        """Close the run."""
        self._try(partial(self._tracker.finish, complete))

    def _start(self, run: Run) -> None:
        self._last_step = self._tracker.start(run)

    def _try(self, call: Callable[[], None]) -> None:
        if self._disabled:
            return
        try:
            call()
        except Exception as error:  # whatever a tracker's library raises about networks and disks
            self._disabled = True
            first_line = str(error).strip().partition("\n")[0]
            _log.warning("%s: tracker disabled after an error; training continues: %s", self.name, first_line or repr(error))


class BackgroundTracker:
    """A guarded tracker that runs in its own thread: training waits for it only at the end, and only for a limited time."""

    def __init__(self, tracker: GuardedTracker, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._tracker, self._timeout_seconds = tracker, timeout_seconds
        self._queue = SimpleQueue[Callable[[], object] | None]()
        self._thread = threading.Thread(target=self._work, name=f"tracker-{tracker.name}", daemon=True)

    def start(self, run: Run) -> int:
        """Start the run in the thread; the guarded tracker itself skips the steps that are recorded already."""
        self._thread.start()
        self._queue.put(partial(self._tracker.start, run))
        return NOTHING_RECORDED

    def log(self, step: int, metrics: Metrics) -> None:
        """Queue the metrics of a step."""
        self._queue.put(partial(self._tracker.log, step, metrics))

    def finish(self, complete: bool) -> None:
        """Queue the end of the run, and wait for it."""
        self._queue.put(partial(self._tracker.finish, complete))
        self._queue.put(None)
        self._thread.join(self._timeout_seconds)
        if self._thread.is_alive():
            _log.warning(
                "%s has not recorded everything after %.0f s; training does not wait", self._tracker.name, self._timeout_seconds
            )

    def _work(self) -> None:
        while (call := self._queue.get()) is not None:
            call()
