"""Sizes and times for people."""

from __future__ import annotations


def format_size(count: float) -> str:
    """Return a number of bytes with its unit: `12.3 GB`."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def format_duration(seconds: float) -> str:
    """Return a time with its unit: `12 s`, `3:20 min`, `5:07 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    unit, minor = ("min", 1) if seconds < 6000 else ("h", 60)
    major, rest = divmod(round(seconds / minor), 60)
    return f"{major}:{rest:02d} {unit}"
