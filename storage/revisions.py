"""A versioned document: small JSON texts numbered from 1, each written once; the one with the highest number is current.

A writer names the revision that it has read, and writes the next one only if no one else has: the number is taken by creating its
file, which a file system and an object store let succeed once. So a change is whole or absent, also after kill -9, and of two
concurrent writers one fails and reads again. No lock is needed. No revision is ever removed: a late writer must find its number taken.
"""

from __future__ import annotations

import json
import re
from typing import Any

from storage.documents import Documents
from storage.errors import StoreError

_FILE = re.compile(r"(\d{8})\.json")

Document = dict[str, Any]


class Revisions:
    """The revisions of one document."""

    def __init__(self, documents: Documents, folder: str) -> None:
        self._documents, self._folder = documents, folder

    def latest(self) -> tuple[int, Document]:
        """Return number and content of the current revision; (0, {}) before the first.

        Raises:
            StoreError: it is damaged.
        """
        names = self._documents.list_names(self._folder)
        newest = max((int(match[1]) for name in names if (match := _FILE.fullmatch(name))), default=0)
        text = self._documents.read(self._path(newest)) if newest else None
        try:
            document = json.loads(text or "{}")
        except ValueError:
            document = None
        if not isinstance(document, dict):
            problem = f"{self._path(newest)} in the store is damaged"
            raise StoreError(
                f"{problem}\n  → restore it from a backup, or remove it: the revision before it becomes the current one"
            )
        return newest, document

    def append(self, number: int, document: Document) -> bool:
        """Write the revision after `number`. Return False if it already exists."""
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        return self._documents.create(self._path(number + 1), text)

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number:08d}.json"
