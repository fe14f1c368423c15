"""Verifies the files of a result against its manifest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlctl.core.hashing import file_digest
from storage.manifest import File, Manifest


def find_damage(folder: Path, manifest: Manifest, thorough: bool = False) -> Iterator[str]:
    """Yield one message for each file of a result that is missing or differs from the manifest.

    Sizes are always compared; digests only of files whose modification time changed, or of every file if `thorough`.
    """
    for file in manifest.files:
        problem = _problem(folder / file.name, file, thorough)
        if problem:
            yield f"{file.name}: {problem}"


def _problem(path: Path, file: File, thorough: bool) -> str:
    try:
        status = path.stat()
    except OSError:
        return "missing"
    if status.st_size != file.bytes:
        return f"{status.st_size} bytes, written with {file.bytes}"
    if (thorough or status.st_mtime_ns != file.modified_ns) and file_digest(path) != file.sha256:
        return "its bytes have changed"
    return ""
