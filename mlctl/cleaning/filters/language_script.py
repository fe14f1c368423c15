"""Rules about what a side is: its characters, its script, its language."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import langcodes
import numpy as np
import regex  # type: ignore[import-untyped]
from ftfy.badness import badness

from mlctl.cleaning.characters import looks_bad
from mlctl.cleaning.duplicates import Mask
from mlctl.cleaning.filters.base import Candidate, Side
from mlctl.core import language_id

# Scripts of languages that write in several at once, and of Han in its two forms.
_MIXED = {
    "Jpan": ("Hani", "Hira", "Kana"),
    "Kore": ("Hang", "Hani"),
    "Hans": ("Hani", "Bopo"),
    "Hant": ("Hani", "Bopo"),
}
_FEW_LETTERS = 4
_ODD = 1  # one odd neighbourhood of characters is a typing error


@dataclass(frozen=True)
class Mojibake:
    """Text that was decoded wrongly, in a way that cannot be undone."""

    name: ClassVar[str] = "mojibake"
    reason: ClassVar[str] = "characters of a side were lost or decoded wrongly"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether a side has replacement characters or sequences that only wrong decoding makes."""
        return any(_undecodable(side.text) for side in pair.sides)


@dataclass(frozen=True)
class Script:
    """A side in another language's letters."""

    source: str
    target: str
    least: float
    name: ClassVar[str] = "script"

    @property
    def reason(self) -> str:
        """Names the threshold."""
        return f"less than {self.least:.0%} of a side's letters are of its language's script"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether a side has too few letters of its language's script (sides of fewer than four letters pass)."""
        return self._foreign(pair.source, self.source) or (pair.target is not None and self._foreign(pair.target, self.target))

    def _foreign(self, side: Side, language: str) -> bool:
        foreign = _foreign_letters(language)
        if side.letters < _FEW_LETTERS or foreign is None:
            return False
        if side.text.isascii():  # all its letters are Latin ones
            return bool(foreign.match("a")) and self.least > 0
        return len(foreign.findall(side.text)) > (1 - self.least) * side.letters


@dataclass(frozen=True)
class WrongLanguage:
    """A side in another language, when it is long enough to tell and the other language is far more likely."""

    source: str
    target: str
    letters: int
    margin: float
    name: ClassVar[str] = "language"

    @property
    def reason(self) -> str:
        """Names the thresholds."""
        return f"a side of {self.letters} letters or more is in another language (by a margin of {self.margin:g})"

    def among(self, pairs: Sequence[Candidate]) -> Mask:
        """Tell of each pair whether a side is in another language."""
        wrong = self._wrong([pair.source for pair in pairs], self.source)
        targets = [number for number, pair in enumerate(pairs) if pair.target]
        wrong[targets] |= self._wrong([pair.target for pair in pairs if pair.target], self.target)
        return wrong

    def _wrong(self, sides: Sequence[Side], language: str) -> Mask:
        wrong = np.zeros(len(sides), dtype=bool)
        long = [number for number, side in enumerate(sides) if side.letters >= self.letters]
        wrong[long] = language_id.surplus([sides[number].text for number in long], language) > self.margin
        return wrong


def _undecodable(text: str) -> bool:
    return "\ufffd" in text or (looks_bad(text) and badness(text) > _ODD)


@functools.cache
def _foreign_letters(language: str) -> regex.Pattern[str] | None:
    """Return what matches a letter of another script than the language's; None where the script is not known."""
    script = langcodes.Language.get(language).maximize().script
    own = "".join(rf"\p{{Script={name}}}" for name in _MIXED.get(script or "", (script,)))
    try:
        return regex.compile(rf"[[\p{{L}}\p{{M}}]--[{own}\p{{Script=Zyyy}}\p{{Script=Zinh}}]]", regex.V1)
    except regex.error:
        return None
