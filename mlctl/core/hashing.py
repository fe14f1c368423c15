"""SHA-256 digests: a result's key is the digest of what made it, its content digest that of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

KEY_LENGTH = 24  # hex digits, 96 bits: no collision in any store that fits a disk


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of a value: sorted names, no spaces.

    Raises:
        ValueError: the value contains NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def key_of(parts: Mapping[str, Any]) -> str:
    """Return the key of a stage result from its parts: stage, version, settings, digests of the inputs."""
    return _json_digest(parts)[:KEY_LENGTH]


def content_digest(files: Mapping[str, str]) -> str:
    """Return the digest of a result from the SHA-256 digest of each of its files, by relative name."""
    return _json_digest(dict(files))


def file_digest(path: Path) -> str:
    """Return the SHA-256 digest of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(path: Path) -> str:
    """Return the digest of a file, or of a folder's files by relative name. Empty folders do not count."""
    if path.is_file():
        return file_digest(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return content_digest({file.relative_to(path).as_posix(): file_digest(file) for file in files})


def named_digest(digests: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 digest over (name, digest) of several files, in the given order."""
    joined = hashlib.sha256()
    for name, digest in digests:
        joined.update(f"{name}\0{digest}\n".encode())
    return joined.hexdigest()


def _json_digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
