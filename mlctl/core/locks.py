"""File locks that the operating system releases when their holder dies, also by kill -9."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_POLL_SECONDS = 0.2


@contextlib.contextmanager
def locked(
    path: Path, on_wait: Callable[[], None] | None = None, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Hold the lock at `path`, whose folder must exist. If another process holds it, call `on_wait` once and wait without limit.

    Raises:
        TimeoutError: `cancelled` returned true while it waited.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=_POLL_SECONDS)
    except Timeout:
        if on_wait:
            on_wait()
        while not lock.is_locked:
            if cancelled():
                raise
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=1, poll_interval=_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Return whether a running process holds the lock at `path`."""
    if not path.exists():
        return False
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
