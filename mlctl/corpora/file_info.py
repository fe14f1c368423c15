"""Joint digests and times of files on disk."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from pathlib import Path


def joint_sha256(digests: Sequence[str]) -> str:
    """Return the only digest; for several, the digest of their list, one a line."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


def written_at(path: Path) -> str:
    """Return when a file, or the list of files in a folder, was last modified: ISO 8601 in UTC, to the second."""
    return datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).isoformat(timespec="seconds")
