"""The usual length of a translation against its source, learned from the corpus itself."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mlctl.cleaning.normalize import Tidied

_ENOUGH = 10
_ENOUGH_FOR_SPREAD = 500
_LONG = 20  # characters: the lengths of shorter texts scatter more, and say little about longer ones
_TO_DEVIATION = 1.4826  # of a normal distribution: standard deviation / median deviation
_LEAST_SPREAD = 0.1
_USUAL_SPREAD = 0.25


class Lengths(NamedTuple):
    """Characters target / source of a language pair: the median, and how far its logarithm scatters (a robust deviation)."""

    ratio: float = 1.0
    spread: float = _USUAL_SPREAD

    def surplus(self, source: int, target: int) -> float:
        """Return by how many spreads a target is longer (or, below 0, shorter) than is usual for the source."""
        return (math.log(max(target, 1) / max(source, 1)) - math.log(self.ratio)) / self.spread


def evidence_of(pairs: Iterable[Tidied]) -> list[tuple[int, int]]:
    """Return the lengths of tidied pairs; those with an empty side, different placeholders or equal sides are no evidence."""
    return [(len(pair.source), len(pair.target)) for pair in pairs if pair.target and _is_evidence(pair)]


def usual_lengths(evidence: Sequence[tuple[int, int]]) -> Lengths:
    """Learn from lengths: the ratio is 1 where there are fewer than 10, the spread 0.25 where there are fewer than 500 long ones."""
    if len(evidence) < _ENOUGH:
        return Lengths()
    ratio = statistics.median(target / source for source, target in evidence)
    off = [abs(math.log(target / source / ratio)) for source, target in evidence if min(source, target) >= _LONG]
    if len(off) < _ENOUGH_FOR_SPREAD:
        return Lengths(ratio)
    return Lengths(ratio, max(_LEAST_SPREAD, _TO_DEVIATION * statistics.median(off)))


def _is_evidence(pair: Tidied) -> bool:
    return bool(pair.source) and pair.source != pair.target and pair.source_placeholders == pair.target_placeholders
