"""Between training and a tracker: its errors are warnings, and its slowness is its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

from mlctl.training.trackers.interface import Figures, Run, Tracker

_log = logging.getLogger(__name__)

_PATIENCE = 30.0  # seconds that the end of training waits for a tracker to send what is left


class Guarded:
    """A tracker that never stops training: its first error is a warning, and after that it is told nothing more."""

    def __init__(self, name: str, tracker: Tracker) -> None:
        self.name, self._tracker = name, tracker
        self._known, self._broken = 0, False

    def started(self, run: Run) -> int:
        """Begin; return the last step on record."""
        self._try(partial(self._start, run))
        return self._known

    def step(self, step: int, figures: Figures) -> None:
        """Tell of a step that the tracker has not on record."""
        if step > self._known:
            self._try(partial(self._tracker.step, step, figures))

    def finished(self, complete: bool) -> None:
        """Close the run."""
        self._try(partial(self._tracker.finished, complete))

    def _start(self, run: Run) -> None:
        self._known = self._tracker.started(run)

    def _try(self, tell: Callable[[], None]) -> None:
        if self._broken:
            return
        try:
            tell()
        except Exception as error:  # whatever a tracker's library raises, on a wire or on a disk
            self._broken = True
            first = str(error).strip().partition("\n")[0]
            _log.warning("%s does not follow this training any more; training goes on: %s", self.name, first or repr(error))


class InBackground:
    """A guarded tracker that is told in a thread of its own: training waits for it at the end only, and not for long."""

    def __init__(self, tracker: Guarded, patience: float = _PATIENCE) -> None:
        self._tracker, self._patience = tracker, patience
        self._waiting = SimpleQueue[Callable[[], object] | None]()
        self._thread = threading.Thread(target=self._work, name=f"tracker-{tracker.name}", daemon=True)

    def started(self, run: Run) -> int:
        """Begin in the thread; what is on record is not known yet, and sorted out there."""
        self._thread.start()
        self._waiting.put(partial(self._tracker.started, run))
        return 0

    def step(self, step: int, figures: Figures) -> None:
        """Leave the figures for the thread."""
        self._waiting.put(partial(self._tracker.step, step, figures))

    def finished(self, complete: bool) -> None:
        """Have the run closed, and wait for it."""
        self._waiting.put(partial(self._tracker.finished, complete))
        self._waiting.put(None)
        self._thread.join(self._patience)
        if self._thread.is_alive():
            _log.warning(
                "%s has not taken in everything after %.0f s; training does not wait", self._tracker.name, self._patience
            )

    def _work(self) -> None:
        while (tell := self._waiting.get()) is not None:
            tell()
