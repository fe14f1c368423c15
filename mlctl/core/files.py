"""Durable, atomic writes: a reader sees the old file or the whole new one, also after kill -9 or a power cut."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

_TEMPORARY, _UNIQUE = ".part-", ".tmp"


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield the temporary path to write a file or folder at; it is renamed to `path` when the block ends without error.

    For one writer at a time: what a killed writer left at the temporary path is removed first.
    """
    temporary = prepare_temporary(path)
    yield temporary
    commit(temporary, path)


def prepare_temporary(path: Path) -> Path:
    """Return the temporary path to write `path` at: its folder exists, and what a killed writer left there is removed."""
    temporary = temporary_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    discard(temporary)
    return temporary


def atomic_write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically. Safe for any number of writers: the last one wins."""
    temporary = _unique_path(path)
    temporary.write_text(text, encoding="utf-8")
    commit(temporary, path)


def create_text(path: Path, text: str) -> bool:
    """Write a UTF-8 text file atomically, unless `path` exists. Return whether it was written: of several writers, one succeeds."""
    temporary = _unique_path(path)
    temporary.write_text(text, encoding="utf-8")
    fsync(temporary)
    try:
        os.link(temporary, path)  # unlike a rename, it fails where the name is taken
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    fsync(path.parent)
    return True


def temporary_path(path: Path) -> Path:
    """Return the hidden path beside `path` that `atomic_write` writes at."""
    return path.with_name(f"{_TEMPORARY}{path.name}")


def is_temporary(name: str) -> bool:
    """Return whether a file name is one that an interrupted write leaves."""
    return name.startswith(_TEMPORARY) or (name.startswith(".") and name.endswith(_UNIQUE))


def commit(temporary: Path, path: Path) -> None:
    """Make a finished file or folder durable, then rename it to `path`, replacing what is there."""
    fsync_tree(temporary)
    if temporary.is_dir() or path.is_dir():
        discard(path)
    temporary.replace(path)
    fsync(path.parent)


def discard(path: Path) -> None:
    """Remove a file, or a folder with its contents, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def fsync_tree(path: Path) -> None:
    """Flush a file, or a folder and everything below it, to the disk."""
    if path.is_dir():
        for entry in path.rglob("*"):
            if entry.is_file() or entry.is_dir():
                fsync(entry)
    fsync(path)


def fsync(path: Path) -> None:
    """Flush a file's bytes, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unique_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}{_UNIQUE}")
