"""A document with revisions: small JSON texts, numbered from 1, each written once; the one with the highest number counts.

A writer says which revision it has seen, and writes the next one only if nobody else has: the number is taken by creating its file,
which a file system and a service behind a URL let succeed once. So a change is whole or absent, also after kill -9, and of two writers
at the same time one fails and looks again. No lock is needed, and no revision is ever removed: a late writer must find its number taken.
"""

from __future__ import annotations

import json
import re
from typing import Any

from storage.documents import Documents

_FILE = re.compile(r"(\d{8})\.json")

Document = dict[str, Any]


class Revisions:
    """The revisions of one document."""

    def __init__(self, documents: Documents, folder: str) -> None:
        self._texts, self._folder = documents, folder

    def latest(self) -> tuple[int, Document]:
        """Return number and content of the revision that counts; 0 and nothing before the first."""
        numbers = [int(found[1]) for name in self._texts.names(self._folder) if (found := _FILE.fullmatch(name))]
        if not numbers:
            return 0, {}
        text = self._texts.read(self._place(max(numbers)))
        return max(numbers), json.loads(text or "{}")

    def follow(self, number: int, document: Document) -> bool:
        """Write what follows revision `number`; False where another revision already does."""
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        return self._texts.create(self._place(number + 1), text)

    def _place(self, number: int) -> str:
        return f"{self._folder}/{number:08d}.json"
