"""The manifest of a result: what made it, and the digest of every file. It is written last, so a folder with a manifest is complete."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlctl.core.files import atomic_write_text
from mlctl.core.hashing import canonical_json, content_digest

NAME = "manifest.json"
#: Format 2 has a digest of the manifest itself and block checksums of large files; manifests of format 1 have neither.
FORMAT = 2
_FORMATS = (1, FORMAT)


class ManifestError(ValueError):
    """A manifest is missing, unreadable or changed; the message says which."""


@dataclass(frozen=True)
class File:
    """One file of a result.

    `rows` is set for Parquet. `volatile` files (timings, and pages that show them) differ between equal runs and are excluded from
    the content digest. `blocks` has the checksums of a large file's blocks (`storage.blocks`).
    """

    name: str
    bytes: int
    sha256: str
    modified_ns: int
    rows: int | None = None
    volatile: bool = False
    blocks: str = ""


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
        """Return the manifest of a folder; None if it is missing, unreadable or changed."""
        try:
            return cls.load(folder)
        except ManifestError:
            return None

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Return the manifest of a folder.

        Raises:
            ManifestError: it is missing, unreadable or changed.
        """
        try:
            text = (folder / NAME).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ManifestError("its manifest is missing") from None
        except (OSError, ValueError) as error:
            raise ManifestError(f"its manifest is unreadable: {error}") from None
        return cls.parse(text)

    @classmethod
    def parse(cls, text: str) -> Manifest:
        """Return the manifest of a JSON text.

        Raises:
            ManifestError: it is not valid, or does not have the digest with which it was written.
        """
        try:
            values = json.loads(text)
            if values["format"] not in _FORMATS:
                raise ManifestError(f"its manifest has the format {values['format']}, which another version of mlctl wrote")
            if values["format"] > 1 and values.pop("digest") != _digest(values):
                raise ManifestError("its manifest was changed: it does not have its own digest")
            values.pop("content")
            files = tuple(File(**file) for file in values.pop("files"))
            return cls(files=files, **values)
        except ManifestError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ManifestError("its manifest is unreadable") from None


def as_json(manifest: Manifest) -> str:
    """Return the JSON text of a manifest, as it is stored."""
    values = {**dataclasses.asdict(manifest), "content": manifest.content}
    values["files"] = [{name: value for name, value in file.items() if name != "blocks" or value} for file in values["files"]]
    return _json({**values, "digest": _digest(values)} if manifest.format > 1 else values)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, durably and atomically."""
    atomic_write_text(path, _json(value))


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
