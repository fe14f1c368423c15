"""Small text files that are created once and never changed, in a local folder or behind a URL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from mlctl.core.files import create_text
from mlctl.core.write_errors import is_disk_full
from storage.errors import StoreError
from storage.remote import Remote


class Documents(Protocol):
    """Text files by relative path."""

    def list_names(self, folder: str) -> Sequence[str]:
        """Return the names in a folder, sorted; none if it does not exist."""

    def read(self, path: str) -> str | None:
        """Return a file's text; None if it does not exist."""

    def create(self, path: str, text: str) -> bool:
        """Write a file atomically, unless it exists. Return whether it was written."""


class LocalDocuments:
    """Text files below a local folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def list_names(self, folder: str) -> Sequence[str]:
        """Return the names in a folder, sorted; none if it does not exist."""
        try:
            return sorted(path.name for path in (self._root / folder).iterdir())
        except FileNotFoundError:
            return []

    def read(self, path: str) -> str | None:
        """Return a file's text; None if it does not exist."""
        try:
            return (self._root / path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def create(self, path: str, text: str) -> bool:
        """Write a file atomically and durably, unless it exists. Return whether it was written."""
        final = self._root / path
        make_folder(final.parent)
        return create_text(final, text)


class RemoteDocuments:
    """Text files behind a URL that fsspec supports."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def list_names(self, folder: str) -> Sequence[str]:
        """Return the names in a folder, sorted; none if it does not exist."""
        return self._remote.list_names(folder)

    def read(self, path: str) -> str | None:
        """Return a file's text; None if it does not exist."""
        return self._remote.read_text(path)

    def create(self, path: str, text: str) -> bool:
        """Write a file unless it exists. Return whether it was written."""
        created = self._remote.create_text(path, text)
        # If the response to a successful request is lost, the retry is refused: compare the contents to tell.
        return created or self._remote.read_text(path) == text


def make_folder(folder: Path) -> None:
    """Create a folder of the store.

    Raises:
        StoreError: a file is in its place, or permission is denied.
        OSError: the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_disk_full(error):
            raise
        raise StoreError(f"cannot write to the store: {error}\n  → choose another folder with store=…") from error
