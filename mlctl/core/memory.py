"""The memory that this process and its children may still use, and how many workers fit into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

from mlctl.core.cgroups import cgroup_folders
from mlctl.core.cpu import usable_cores

_LIMIT_V1, _USAGE_V1 = "memory.limit_in_bytes", "memory.usage_in_bytes"
_LIMIT_V2, _USAGE_V2 = "memory.max", "memory.current"


def available_memory(root: Path = Path("/")) -> int:
    """Return how many bytes can be used without swapping: what the machine has, or what its cgroups leave where that is less.

    Args:
        root: folder that contains `proc/self/cgroup` and `sys/fs/cgroup`.
    """
    return max(0, min([int(psutil.virtual_memory().available), *_left_in_cgroups(root)]))


def workers_in_memory(cores: int, needed: int) -> int:
    """Return one worker for each core, as far as memory allows: `needed` bytes each.

    The machines of a cluster are taken to have as much memory for each core as this one.
    """
    local = usable_cores()
    return max(1, cores * min(local, available_memory() // needed) // local)


def _left_in_cgroups(root: Path) -> Iterator[int]:
    for folder in cgroup_folders(root, "memory"):
        for limit, usage in ((_LIMIT_V2, _USAGE_V2), (_LIMIT_V1, _USAGE_V1)):
            try:
                yield int((folder / limit).read_text()) - int((folder / usage).read_text()) + _cached_files(folder)
            except (OSError, ValueError):  # none, or `max`
                continue


def _cached_files(folder: Path) -> int:
    """Return the bytes of cached files that the kernel frees first: they count as used, but are available."""
    names = {"inactive_file", "total_inactive_file"}  # version 2, and version 1 with its children
    lines = (folder / "memory.stat").read_text().splitlines()
    return max((int(number) for name, _, number in (line.partition(" ") for line in lines) if name in names), default=0)
