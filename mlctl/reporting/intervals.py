"""Confidence intervals for shares: how much of a figure can be chance."""

from __future__ import annotations

import math

_Z = 1.959963984540054  # two-sided 95% of the normal distribution


def wilson(share: float, items: int) -> tuple[float, float]:
    """Return Wilson's 95% score interval of a share of `items` yes-or-no answers (Wilson 1927)."""
    if not items:
        return 0.0, 1.0
    spread = _Z * _Z / items
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / items + spread / items / 4)
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
