"""The usual length of a translation against its source, learned from the corpus itself."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from mlctl.cleaning.tidy import tidy

SAMPLE = 20_000
_ENOUGH = 10
_LONGEST = 5_000


def usual_ratio(pairs: Iterable[tuple[str, str]]) -> float:
    """Return the median of characters target / source over tidied pairs; 1 where there are fewer than 10 to learn from.

    Pairs with an empty side, different placeholders or equal sides are no evidence, nor are very long ones.
    """
    ratios = []
    for source, target in pairs:
        if len(source) + len(target) > _LONGEST:
            continue
        pair = tidy(source, target)
        evidence = pair.source and pair.target and pair.source != pair.target
        if evidence and pair.target and pair.source_placeholders == pair.target_placeholders:
            ratios.append(len(pair.target) / len(pair.source))
    return statistics.median(ratios) if len(ratios) >= _ENOUGH else 1.0
