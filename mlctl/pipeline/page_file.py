"""Writes a page or a table to a file that the user names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mlctl.core.files import atomic_write
from mlctl.errors import InputError


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file atomically, and the folders above it.

    Args:
        path: file to write; one that exists is replaced.
        write: writes the content to the path that it is called with.

    Raises:
        InputError: it is a folder, or cannot be written.
    """
    target = path.expanduser().absolute()
    if target.is_dir():
        raise InputError(f"cannot write {target}: it is a folder", "name a file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as temporary:
            write(temporary)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error}", "name another file") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file; see `write_file`."""
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
