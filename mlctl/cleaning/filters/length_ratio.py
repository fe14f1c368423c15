"""Rules that compare the lengths of both sides with the corpus's usual length ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mlctl.cleaning.filters.base import SentencePair
from mlctl.cleaning.length_statistics import LengthStatistics

_END_MARKS = tuple(".!?…。！？।؟۔;؛:：")
_CLOSING_MARKS = " \"'”’“»«)）’」』"
_MIN_CUT_OFF_CHARACTERS = 60  # of the longer side


@dataclass(frozen=True)
class LengthRatio:
    """A side that is much longer than its translation has other content.

    The source's length is first multiplied by the usual ratio target/source of the language pair, since one language needs a third of
    the characters of another. How much longer is too long is learned from the corpus too (`max_zscore`), up to `max_ratio`.
    """

    max_ratio: float
    max_zscore: float
    slack: int
    lengths: LengthStatistics
    name: ClassVar[str] = "length ratio"

    @property
    def reason(self) -> str:
        """What the rule drops, with its thresholds."""
        return (
            f"a side is longer than expected from the other by over {self.slack} characters and by a factor over {self.max_ratio:g} or "
            f"a z-score over {self.max_zscore:g}"
        )

    def drops(self, pair: SentencePair) -> bool:
        """Return whether the lengths do not match."""
        if pair.target is None:
            return False
        expected, actual = len(pair.source.text) * self.lengths.ratio, len(pair.target.text)
        if abs(expected - actual) <= self.slack:
            return False
        exceeds_ratio = max(expected, actual) > self.max_ratio * min(expected, actual)
        return exceeds_ratio or abs(self.lengths.zscore(len(pair.source.text), actual)) > self.max_zscore


@dataclass(frozen=True)
class CutOff:
    """A truncated side: it has no end mark, the other side has one, and it is shorter than usual."""

    max_zscore: float
    lengths: LengthStatistics
    name: ClassVar[str] = "cut off"

    @property
    def reason(self) -> str:
        """What the rule drops, with its threshold."""
        return f"a side without end mark is shorter than expected from the other, which has one, by a z-score over {self.max_zscore:g}"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether one side of a long pair seems to be truncated."""
        if pair.target is None or max(len(pair.source.text), len(pair.target.text)) < _MIN_CUT_OFF_CHARACTERS:
            return False
        zscore = self.lengths.zscore(len(pair.source.text), len(pair.target.text))
        if abs(zscore) <= self.max_zscore:
            return False
        longer, shorter = (pair.target, pair.source) if zscore > 0 else (pair.source, pair.target)
        return _has_end_mark(longer.text) and not _has_end_mark(shorter.text)


def _has_end_mark(text: str) -> bool:
    return text.rstrip(_CLOSING_MARKS).endswith(_END_MARKS)
