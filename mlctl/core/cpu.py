"""The number of CPU cores that this process may use: its affinity, and the CPU quota of its container."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from mlctl.core.cgroups import cgroup_folders


def usable_cores(root: Path = Path("/")) -> int:
    """Return how many CPU cores this process may use, at least 1.

    It is the number of cores of the process's affinity, or its cgroup's CPU quota in cores, rounded up, where that is less.

    Args:
        root: folder that contains `proc/self/cgroup` and `sys/fs/cgroup`.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affinity, *(math.ceil(quota) for quota in _cpu_quotas(root))]))


def _cpu_quotas(root: Path) -> Iterator[float]:
    """Yield the CPU quotas, in cores, of this process's cgroups and of their ancestors: the smallest one applies."""
    for folder in cgroup_folders(root, "cpu"):
        if quota := _read_quota_v2(folder) or _read_quota_v1(folder):
            yield quota


def _read_quota_v2(folder: Path) -> float | None:
    """Return the quota of a cgroup of version 2; None: none. `cpu.max` contains quota and period in µs, or `max`."""
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _read_quota_v1(folder: Path) -> float | None:
    """Return the quota of a cgroup of version 1; None: none. Quota (-1: none) and period in µs are files."""
    try:
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text(encoding="utf-8")) for name in ("quota", "period"))
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
