"""Locks that the operating system releases when their holder dies, also by kill -9."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_PATIENCE = 0.2


@contextlib.contextmanager
def held(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock at `path`, in a folder that is there; where another process has it, call `on_wait` once and wait for as long as it takes."""
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        if on_wait:
            on_wait()
        lock.acquire(poll_interval=_PATIENCE)
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Tell whether some living process holds the lock at `path`."""
    if not path.exists():
        return False
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
