"""Digests: a result's key is the SHA-256 of what made it, its content digest the SHA-256 of what it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEY_LENGTH = 24  # hex digits: 96 bits, no collision in any store that fits a disk


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted names, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def key_of(parts: Mapping[str, Any]) -> str:
    """Return the key of a stage run from its parts (stage, version, settings, digests of inputs)."""
    return _digest(parts)[:KEY_LENGTH]


def content_digest(files: Mapping[str, str]) -> str:
    """Return the digest of a result from the SHA-256 of each of its files, by name."""
    return _digest(dict(files))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(path: Path) -> str:
    """Return the digest of a file, or of a folder's files by relative name."""
    if path.is_file():
        return file_digest(path)
    names = sorted(p for p in path.rglob("*") if p.is_file())
    return content_digest({p.relative_to(path).as_posix(): file_digest(p) for p in names})
