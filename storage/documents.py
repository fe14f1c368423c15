"""Small texts that are written once, in a folder of this machine or behind a URL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from mlctl.core.files import create_text, is_disk_full
from storage.errors import StoreError
from storage.remote import Remote


class Documents(Protocol):
    """Small texts in folders, on a disk or behind a URL."""

    def names(self, folder: str) -> Sequence[str]:
        """Return what lies in a folder; nothing where there is none."""

    def read(self, place: str) -> str | None:
        """Return a text; None where there is none."""

    def create(self, place: str, text: str) -> bool:
        """Write a text whole, unless there is one; tell whether it was written."""


class LocalDocuments:
    """Texts below a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, folder: str) -> Sequence[str]:
        """Return what lies in a folder; nothing where there is none."""
        try:
            return sorted(path.name for path in (self._root / folder).iterdir())
        except FileNotFoundError:
            return []

    def read(self, place: str) -> str | None:
        """Return a text; None where there is none."""
        try:
            return (self._root / place).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def create(self, place: str, text: str) -> bool:
        """Write a text whole and durably, unless there is one; tell whether it was written."""
        final = self._root / place
        make_folder(final.parent)
        return create_text(final, text)


class RemoteDocuments:
    """Texts behind a URL that fsspec knows."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def names(self, folder: str) -> Sequence[str]:
        """Return what lies in a folder; nothing where there is none."""
        return self._remote.names(folder)

    def read(self, place: str) -> str | None:
        """Return a text; None where there is none."""
        return self._remote.text(place)

    def create(self, place: str, text: str) -> bool:
        """Write a text unless there is one; tell whether it was written."""
        written = self._remote.create(place, text)
        # An answer that was lost on the way looks like a refusal to who asked again: what is there tells.
        return written or self._remote.text(place) == text


def make_folder(folder: Path) -> None:
    """Make a folder of the store.

    Raises:
        StoreError: something else is in its place, or writing is not allowed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_disk_full(error):
            raise
        raise StoreError(f"cannot write to the store: {error}\n  → choose another folder with store=…") from error
