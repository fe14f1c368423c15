"""Is a result still what its manifest says?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlctl.core.hashing import file_digest
from storage.manifest import File, Manifest


def faults(folder: Path, manifest: Manifest, thorough: bool = False) -> Iterator[str]:
    """Yield what is wrong with a result, a line a file.

    Sizes are always compared; digests where a file's time changed since it was written, or of every file if `thorough`.
    """
    for file in manifest.files:
        fault = _fault(folder / file.name, file, thorough)
        if fault:
            yield f"{file.name}: {fault}"


def _fault(path: Path, file: File, thorough: bool) -> str:
    try:
        status = path.stat()
    except OSError:
        return "missing"
    if status.st_size != file.bytes:
        return f"{status.st_size} bytes, written with {file.bytes}"
    if (thorough or status.st_mtime_ns != file.modified_ns) and file_digest(path) != file.sha256:
        return "its bytes have changed"
    return ""
