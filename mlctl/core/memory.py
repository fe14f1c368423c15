"""The memory that this process may use: that of the machine, or the limit of its container."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")  # version 2, version 1


def usable_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that this process may use; `root` is the folder that contains `sys/fs/cgroup`."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_limits(root)])


def _limits(root: Path) -> list[int]:
    found = []
    for name in _CGROUP_LIMITS:
        try:
            found.append(int((root / name).read_text(encoding="utf-8")))
        except (OSError, ValueError):  # not Linux, another version, or `max`
            continue
    return found
