"""Ends a command on SIGINT (Ctrl-C), SIGTERM or SIGHUP: within seconds, with one line, its children and its exit status.

Results survive kill -9, so nothing is unwound: blocks that registered with `on_interruption` save or report what they hold, and the
process ends. The signal is handled in a thread of its own, because the main thread may be in a library that catches every exception
or does not return for a long time.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import psutil

#: Seconds that each registered callback has, unless it asks for more.
CALLBACK_SECONDS = 2.0

_REPEAT_SECONDS = 0.5  # make and timeout pass on a signal that the process has received itself: that is no second one

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_NAMES = {signal.SIGINT: "interrupted by Ctrl-C", signal.SIGTERM: "terminated (SIGTERM)"}

_callbacks: list[tuple[Callable[[str], None], float]] = []
_requested = threading.Event()
_taken: list[signal.Signals] = []
_left_threads = threading.Event()


def is_requested() -> bool:
    """Return whether a signal has asked this process to end."""
    return _requested.is_set()


@contextlib.contextmanager
def on_interruption(callback: Callable[[str], None], seconds: float = CALLBACK_SECONDS) -> Iterator[None]:
    """While the block lasts, call `callback` with the reason in a thread before the process ends.

    The callbacks registered last are called first. One that takes longer than `seconds` is abandoned, errors are ignored.
    """
    context = contextvars.copy_context()
    entry = (lambda reason: context.run(callback, reason), seconds)
    _callbacks.append(entry)
    try:
        yield
    finally:
        _callbacks.remove(entry)


@contextlib.contextmanager
def ending_on_signals(message: str) -> Iterator[None]:
    """While the block lasts, signals end this process: exit status 128 + signal, after one line on standard error.

    A second signal ends it at once. Outside the main thread, which alone may set handlers, nothing changes.

    Args:
        message: what is kept and how to go on; the line begins with the reason. Empty: no line, for a child process whose parent
            shows one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # nohup ignores SIGHUP; without a handler in Python no byte is written to the pipe
    numbers = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    handlers = {number: signal.getsignal(number) for number in numbers}
    _taken.extend(numbers)
    take_signals()
    previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reader, message), name="signals", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        wait_if_requested()
        signal.set_wakeup_fd(previous)
        _taken.clear()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(writer)  # ends the watcher
        watcher.join()
        os.close(reader)


@contextlib.contextmanager
def deferring_interrupts() -> Iterator[None]:
    """While the block lasts, Ctrl-C waits; it is raised when the block ends. Inside `ending_on_signals` nothing changes."""
    previous = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or is_taken(signal.SIGINT) or previous in (None, signal.SIG_IGN):
        yield
        return
    pressed = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if pressed.is_set():
            signal.raise_signal(signal.SIGINT)


def take_signals() -> None:
    """Take the signals of `ending_on_signals` back from a library that has set handlers: Prefect does at the start of every flow."""
    for number in _taken:
        signal.signal(number, lambda *_: None)


def is_taken(number: signal.Signals) -> bool:
    """Return whether `ending_on_signals` handles a signal now."""
    return number in _taken


def wait_if_requested() -> None:
    """Block for ever once a signal has asked this process to end: what the caller would report is a consequence of the signal."""
    while is_requested():
        time.sleep(60)


def _watch(reader: int, message: str) -> None:
    """Read the numbers of signals until the other end of the pipe is closed."""
    first: float | None = None
    while byte := os.read(reader, 1):
        number = byte[0]
        if number not in _SIGNALS:
            continue  # a signal of another use
        if first is not None and time.monotonic() - first > _REPEAT_SECONDS:
            _exit(number)
        if first is not None:
            continue
        first = time.monotonic()
        threading.Thread(target=_end, args=(number, message), daemon=True).start()


def _end(number: int, message: str) -> None:
    _requested.set()
    logging.disable(logging.CRITICAL)
    reason = _NAMES.get(signal.Signals(number), f"ended by {signal.Signals(number).name}")
    line_start = "\r\033[K" if sys.stderr.isatty() else ""  # over a progress bar
    with contextlib.suppress(OSError, ValueError):
        os.write(2, f"{line_start}mlctl: {reason}; {message}\n".encode() if message else b"")
    _silence()
    for callback, seconds in reversed(_callbacks.copy()):
        _call(callback, reason, seconds)
    _exit(number)


def _silence() -> None:
    """Discard what the main thread and its libraries still print."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)


def _call(callback: Callable[[str], None], reason: str, seconds: float) -> None:
    def call() -> None:
        with contextlib.suppress(Exception):
            callback(reason)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)


def leave_threads() -> None:
    """Have the command end without waiting for the threads of libraries: they wait for a server that does not answer."""
    _left_threads.set()


def end_process(status: int) -> None:
    """End this process now if it does not wait for its threads."""
    if _left_threads.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        _kill_children()
        os._exit(status)


def _exit(number: int) -> None:
    _kill_children()
    os._exit(128 + number)


def _kill_children() -> None:
    session = os.getsid(0)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(child.pid) == session:  # others end in their own way
                child.kill()
