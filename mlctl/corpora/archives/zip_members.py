"""Members of a zip: whether they overlap, and how much of one was read."""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Callable

_LOCAL_HEADER = 30  # bytes without name and extra field


def overlapping(archive: zipfile.ZipFile) -> tuple[str, str] | None:
    """Return the names of two members that share bytes of the archive, as in a bomb whose members all are the same bytes."""
    members = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.header_offset)
    for first, second in itertools.pairwise(members):
        if first.header_offset + _LOCAL_HEADER + first.compress_size > second.header_offset:
            return first.filename, second.filename
    return None


def packed_bytes_read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], float]:
    """Return a function that returns the bytes of a member that were read from the archive so far."""

    def read() -> float:
        position = archive.fp.tell() if archive.fp else 0
        return float(min(max(position - info.header_offset, 1), info.compress_size))

    return read
