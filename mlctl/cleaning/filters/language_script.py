"""Rules about the encoding, the script and the language of each side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from ftfy.badness import badness

from mlctl.cleaning.characters import looks_mojibake
from mlctl.cleaning.duplicates import Mask
from mlctl.cleaning.filters.base import SentencePair, Side
from mlctl.core import language_id
from mlctl.core.script_check import is_in_other_han_variant, is_in_other_script

_MIN_LETTERS = 4
_MAX_BADNESS = 1  # ftfy's count of unlikely character sequences; one is a typing error


@dataclass(frozen=True)
class Mojibake:
    """Text that was decoded with the wrong encoding and cannot be repaired."""

    name: ClassVar[str] = "mojibake"
    reason: ClassVar[str] = "characters of a side were lost or decoded with the wrong encoding"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether a side cannot be repaired, has replacement characters or sequences that only a wrong encoding makes."""
        return pair.normalized.misread or _is_mojibake(pair.source) or (pair.target is not None and _is_mojibake(pair.target))


@dataclass(frozen=True)
class _SideRule(ABC):
    """A rule about one side at a time, whose language decides: it drops a pair if it rejects one of its sides."""

    source: str
    target: str
    min_share: float

    def drops(self, pair: SentencePair) -> bool:
        """Return whether the rule rejects a side."""
        return self._rejects(pair.source, self.source) or (pair.target is not None and self._rejects(pair.target, self.target))

    @abstractmethod
    def _rejects(self, side: Side, language: str) -> bool: ...


class Script(_SideRule):
    """A side in the script of another language. Sides of a language whose script is unknown, and of fewer than four letters, pass."""

    name: ClassVar[str] = "script"

    @property
    def reason(self) -> str:
        """What the rule drops, with its threshold."""
        return f"less than {self.min_share:.0%} of a side's letters belong to its language's script"

    def _rejects(self, side: Side, language: str) -> bool:
        return side.letters >= _MIN_LETTERS and is_in_other_script(side.text, side.letters, language, self.min_share)


class ChineseVariant(_SideRule):
    """A side in Simplified Chinese where the language is written in Traditional Chinese, or the other way round.

    Sides without characters of a single variant pass.
    """

    name: ClassVar[str] = "chinese variant"

    @property
    def reason(self) -> str:
        """What the rule drops, with its threshold."""
        return (
            "of a side's characters that only Simplified or only Traditional Chinese has, "
            f"less than {self.min_share:.0%} are of its language's variant"
        )

    def _rejects(self, side: Side, language: str) -> bool:
        return is_in_other_han_variant(side.text, language, self.min_share)


@dataclass(frozen=True)
class WrongLanguage:
    """A side that is long enough to identify its language and far more likely in another one."""

    source: str
    target: str
    min_letters: int
    margin: float
    name: ClassVar[str] = "language"

    @property
    def reason(self) -> str:
        """What the rule drops, with its thresholds."""
        return f"a side of {self.min_letters} letters or more is in another language (by a margin of {self.margin:g})"

    def drops(self, pairs: Sequence[SentencePair]) -> Mask:
        """Return for each pair whether a side is in another language."""
        wrong = self._is_wrong([pair.source for pair in pairs], self.source)
        with_target = [index for index, pair in enumerate(pairs) if pair.target]
        wrong[with_target] |= self._is_wrong([pair.target for pair in pairs if pair.target], self.target)
        return wrong

    def _is_wrong(self, sides: Sequence[Side], language: str) -> Mask:
        wrong = np.zeros(len(sides), dtype=bool)
        long = [index for index, side in enumerate(sides) if side.letters >= self.min_letters]
        wrong[long] = language_id.other_language_margin([sides[index].text for index in long], language) > self.margin
        return wrong


def _is_mojibake(side: Side) -> bool:
    if side.others.isascii():
        return False
    return "\ufffd" in side.others or (looks_mojibake(side.text) and badness(side.text) > _MAX_BADNESS)
