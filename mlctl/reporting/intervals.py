"""Confidence intervals: how much of a figure can be chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_Z = 1.959963984540054  # two-sided 95% of the normal distribution


def wilson(share: float, items: int) -> tuple[float, float]:
    """Return Wilson's 95% score interval of a share of `items` yes-or-no answers (Wilson 1927)."""
    if not items:
        return 0.0, 1.0
    spread = _Z * _Z / items
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / items + spread / items / 4)
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def ratio_interval(parts: Sequence[float], wholes: Sequence[float]) -> tuple[float, float]:
    """Return a 95% interval of sum(parts) / sum(wholes), a figure in [0, 1] that items, drawn independently, add up to.

    Where each item counts as one, yes or no or a mean of such answers, it is Wilson's with as many answers as the items' own spread
    says there are; else (F1, error rates) that of the linearised ratio (Cochran 1977, Sampling Techniques, section 6.3).

    Args:
        parts: (N,) what each item added to the figure.
        wholes: (N,) what it could have added.
    """
    part, whole = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    total, items = float(whole.sum()), len(part)
    if not total:
        return 0.0, 1.0
    figure = float(part.sum()) / total
    if (whole == 1).all():
        spread, coin = float(part.var()), figure * (1 - figure)
        return wilson(figure, round(items * (coin / spread if 0 < spread < coin else 1)))
    half = _Z * math.sqrt(float(np.square(part - figure * whole).sum()) * items / max(1, items - 1)) / total
    return max(0.0, figure - half), min(1.0, figure + half)
