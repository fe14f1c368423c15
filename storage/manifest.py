"""The manifest of a result: what made it, and the digest of every file. It is written last, so a folder with a manifest is complete."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlctl.core.files import atomic_write_text
from mlctl.core.hashing import content_digest

NAME = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class File:
    """One file of a result.

    `rows` is set for Parquet. `volatile` files (timings, and pages that show them) differ between equal runs and are excluded from
    the content digest.
    """

    name: str
    bytes: int
    sha256: str
    modified_ns: int
    rows: int | None = None
    volatile: bool = False


@dataclass(frozen=True)
class Manifest:
    """What a result contains and how it was made.

    `parts` is what the key was computed from; `inputs` maps each upstream stage to its key; `seconds` is the duration of the attempt
    that finished.
    """

    stage: str
    key: str
    parts: dict[str, Any]
    inputs: dict[str, str]
    files: tuple[File, ...]
    metrics: dict[str, Any]
    versions: dict[str, str]
    seconds: float
    created: str
    format: int = FORMAT

    @property
    def content(self) -> str:
        """Digest of all files but the volatile ones: equal for equal bytes."""
        return content_digest({f.name: f.sha256 for f in self.files if not f.volatile})

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.files)

    def write(self, folder: Path) -> None:
        """Write the manifest into a folder, durably and atomically."""
        atomic_write_text(folder / NAME, as_json(self))

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """Return the manifest of a folder; None if it is missing or unreadable."""
        try:
            return cls.parse((folder / NAME).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            return None

    @classmethod
    def parse(cls, text: str) -> Manifest | None:
        """Return the manifest of a JSON text; None if it is not valid."""
        try:
            values = json.loads(text)
            values.pop("content")
            files = tuple(File(**file) for file in values.pop("files"))
            manifest = cls(files=files, **values)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return manifest if manifest.format == FORMAT else None


def as_json(manifest: Manifest) -> str:
    """Return the JSON text of a manifest, as it is stored."""
    return _json({**dataclasses.asdict(manifest), "content": manifest.content})


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, durably and atomically."""
    atomic_write_text(path, _json(value))


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
