"""Stops a training on SIGTERM, the notice of a machine that is about to go away: after the running step, with a checkpoint.

Commands end on signals by `core.interruption`, which calls back here before the process ends, on Ctrl-C, too. Elsewhere (a Prefect
worker's flow run, another program that calls `train`) the handler of SIGTERM is set here, for the time of the training.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from mlctl.core.interruption import is_taken, on_interruption, wait_if_requested
from mlctl.errors import InputError

# Time for the running step and the checkpoint. Who presses Ctrl-C waits; a machine that goes away gives 30 s and more.
_SECONDS, _CTRL_C_SECONDS = 25.0, 3.0


def _announce_to_nobody(handler: Any, previous: Any) -> contextlib.AbstractContextManager[None]:
    del handler, previous
    return contextlib.nullcontext()


#: Called with the handler that a training sets and the one before, for the time that it is set; `tasks.termination` tells Prefect.
announce_handler: Callable[[Any, Any], contextlib.AbstractContextManager[None]] = _announce_to_nobody


class TrainingInterrupted(InputError):  # noqa: N818 - it is no error of the training
    """A training was stopped by SIGTERM, after it had saved a checkpoint."""

    def __init__(self, step: int, steps: int) -> None:
        super().__init__(
            f"training was interrupted by SIGTERM after step {step} of {steps}; its checkpoint is kept",
            "run the same command again: training resumes from that step",
        )
        self.step, self.steps = step, steps


class StopRequest:
    """A request to stop, made by a signal handler or another thread, and whether the training has stopped.

    Attributes:
        finished: set when the checkpoint is saved, or the training has ended.
    """

    def __init__(self) -> None:
        self.finished = threading.Event()
        self._requested = threading.Event()
        self._forward: Callable[[], None] = lambda: None

    @property
    def is_made(self) -> bool:
        """Whether the training is to stop after the running step."""
        return self._requested.is_set()

    def make(self) -> None:
        """Request the stop."""
        self._requested.set()
        self._forward()

    def forward_to(self, stop: Callable[[], None]) -> None:
        """Have a request call `stop`, too; at once if it has been made."""
        self._forward = stop
        if self.is_made:
            stop()


@contextlib.contextmanager
def stopping_on_sigterm() -> Iterator[StopRequest]:
    """While the block lasts, SIGTERM is a request to stop; after the block it is handled as it would have been before.

    So the process ends as without this block, by the handler that the caller has, but after the checkpoint. A second SIGTERM does
    not wait. Only the main thread can set handlers: in another thread, signals are noticed only if a command handles them.
    """
    request = StopRequest()

    def stop(reason: str) -> None:
        request.make()
        request.finished.wait(_CTRL_C_SECONDS if "Ctrl-C" in reason else _SECONDS)

    with on_interruption(stop, _SECONDS), contextlib.nullcontext() if is_taken(signal.SIGTERM) else _handling_sigterm(request):
        try:
            yield request
        finally:
            request.finished.set()
            wait_if_requested()  # the process is about to end: what follows from the stop is not reported as an error


@contextlib.contextmanager
def _handling_sigterm(request: StopRequest) -> Iterator[None]:
    previous = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or previous in (None, signal.SIG_IGN):
        yield
        return
    signalled = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if signalled.is_set():
            signal.signal(number, previous)
            signal.raise_signal(number)
        signalled.set()
        request.make()

    signal.signal(signal.SIGTERM, handle)
    try:
        with announce_handler(handle, previous):
            yield
    finally:
        signal.signal(signal.SIGTERM, previous)
        if signalled.is_set():
            signal.raise_signal(signal.SIGTERM)
