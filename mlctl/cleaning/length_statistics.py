"""The usual length of a translation relative to its source, fitted on the corpus itself."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mlctl.cleaning.normalize import NormalizedPair

_MIN_PAIRS = 10
_MIN_PAIRS_FOR_DEVIATION = 500
_MIN_CHARACTERS = 20  # of a side; the ratio of shorter texts varies more, and predicts little about longer ones
_MAD_TO_DEVIATION = 1.4826  # of a normal distribution: standard deviation / median absolute deviation
_MIN_DEVIATION = 0.1
_DEFAULT_DEVIATION = 0.25


class LengthStatistics(NamedTuple):
    """Length ratio target / source of a language pair, in characters.

    Attributes:
        ratio: the median ratio.
        deviation: the standard deviation of the ratio's natural logarithm, estimated from the median absolute deviation.
    """

    ratio: float = 1.0
    deviation: float = _DEFAULT_DEVIATION

    def zscore(self, source: int, target: int) -> float:
        """Return how many standard deviations a target of `target` characters is longer than usual for the source (below 0: shorter)."""
        return (math.log(max(target, 1) / max(source, 1)) - math.log(self.ratio)) / self.deviation


def pair_lengths(pairs: Iterable[NormalizedPair]) -> list[tuple[int, int]]:
    """Return the lengths in characters of pairs, without those that have an empty side, different placeholders or equal sides."""
    return [(len(pair.source), len(pair.target)) for pair in pairs if pair.target and _is_usable(pair)]


def fit_lengths(lengths: Sequence[tuple[int, int]]) -> LengthStatistics:
    """Fit the statistics. The ratio of fewer than 10 pairs is taken as 1, the deviation of fewer than 500 long ones as 0.25."""
    if len(lengths) < _MIN_PAIRS:
        return LengthStatistics()
    ratio = statistics.median(target / source for source, target in lengths)
    deviations = [abs(math.log(target / source / ratio)) for source, target in lengths if min(source, target) >= _MIN_CHARACTERS]
    if len(deviations) < _MIN_PAIRS_FOR_DEVIATION:
        return LengthStatistics(ratio)
    return LengthStatistics(ratio, max(_MIN_DEVIATION, _MAD_TO_DEVIATION * statistics.median(deviations)))


def _is_usable(pair: NormalizedPair) -> bool:
    return bool(pair.source) and pair.source != pair.target and pair.source_placeholders == pair.target_placeholders
