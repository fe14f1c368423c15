"""Rules about what both sides of a pair must share: numbers, addresses, ends, length, and that one is not the other's copy."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from mlctl.cleaning.filters.base import Candidate
from mlctl.cleaning.lengths import Lengths

_DIGIT = re.compile("[1-9]")
_FEW_DIGITS = 4
_ADDRESS = re.compile(r"(?:https?://|www\.)[\w-]+(?:\.[\w-]+)+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE | re.ASCII)
_NAME = re.compile(r"\S*\w[./@:_\\]\w\S*")
_HAN_DIGITS = str.maketrans("一二三四五六七八九", "123456789")
_ENDS = tuple(".!?…。！？।؟۔;؛:：")
_CLOSING = " \"'”“»«)）’」』"
_ANY_END = ".!?…।؟۔。！？"
_SENTENCE_END = re.compile("[.!?…।؟۔]+(?=[\\s\"'”»)]|$)|[。！？]")
_LONG = 60
_LEAST_COPIED = 4
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class Numbers:
    """Figures survive translation: many that only one side has belong to another text."""

    least: float
    name: ClassVar[str] = "numbers"

    @property
    def reason(self) -> str:
        """Names the threshold."""
        return f"the sides share less than {self.least:.0%} of their digits"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether too few digits other than 0 (of any script) are on both sides; four may always differ."""
        if pair.target is None or not (_has_digit(pair.source.text) or _has_digit(pair.target.text)):
            return False
        ours, theirs = _digits(pair.source.text), _digits(pair.target.text)
        total, common = ours.total() + theirs.total(), 2 * (ours & theirs).total()
        if total - common > _FEW_DIGITS and not (pair.source.spaced and pair.target.spaced):  # a number may be written in words
            ours, theirs = (_digits(side.text.translate(_HAN_DIGITS)) for side in (pair.source, pair.target))
            common = min(total, 2 * (ours & theirs).total())
        return total - common > _FEW_DIGITS and common < self.least * total


@dataclass(frozen=True)
class Addresses:
    """Web and mail addresses are not translated."""

    name: ClassVar[str] = "addresses"
    reason: ClassVar[str] = "one side has more web or mail addresses than the other, and they have none in common"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether one side has more sites than the other and none is on both."""
        if pair.target is None:
            return False
        ours, theirs = _sites(pair.source.text), _sites(pair.target.text)
        return len(ours) != len(theirs) and not ours & theirs


@dataclass(frozen=True)
class SentenceEnds:
    """Several sentences against one: one side says more than the other."""

    most: int
    name: ClassVar[str] = "sentence ends"

    @property
    def reason(self) -> str:
        """Names the threshold."""
        return f"one side has over {self.most} sentence ends more than the other"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether the numbers of sentence ends differ by too many."""
        if pair.target is None:
            return False
        ours, theirs = pair.source.text, pair.target.text
        if max(_at_most(ours), _at_most(theirs)) <= self.most:  # nearly always, and sooner told
            return False
        return abs(len(_SENTENCE_END.findall(ours)) - len(_SENTENCE_END.findall(theirs))) > self.most


@dataclass(frozen=True)
class CutOff:
    """A side that breaks off: it has no end, the other has, and it is shorter than it should be."""

    spreads: float
    usual: Lengths
    name: ClassVar[str] = "cut off"

    @property
    def reason(self) -> str:
        """Names the threshold."""
        return f"a side without end mark is shorter than usual for the other, which has one, by {self.spreads:g} spreads"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether one side of a long pair seems to break off."""
        if pair.target is None or max(len(pair.source.text), len(pair.target.text)) < _LONG:
            return False
        surplus = self.usual.surplus(len(pair.source.text), len(pair.target.text))
        if abs(surplus) <= self.spreads:
            return False
        longer, shorter = (pair.target, pair.source) if surplus > 0 else (pair.source, pair.target)
        return _ends(longer.text) and not _ends(shorter.text)


@dataclass(frozen=True)
class LengthRatio:
    """A side that is far longer than its translation says something else.

    Lengths are compared after the source's is multiplied by the language pair's usual ratio target/source, since one language needs
    a third of the characters of another. How much is far is learned too, up to `most`.
    """

    most: float
    spreads: float
    slack: int
    usual: Lengths
    name: ClassVar[str] = "length ratio"

    @property
    def reason(self) -> str:
        """Names the thresholds."""
        return f"a side is longer than usual for the other by {self.slack} characters and {self.most:g} times or {self.spreads:g} spreads"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether the lengths do not fit."""
        if pair.target is None:
            return False
        expected, given = len(pair.source.text) * self.usual.ratio, len(pair.target.text)
        if abs(expected - given) <= self.slack:
            return False
        far = max(expected, given) > self.most * min(expected, given)
        return far or abs(self.usual.surplus(len(pair.source.text), given)) > self.spreads


@dataclass(frozen=True)
class Untranslated:
    """A copy with small changes, or a sentence that was translated in part."""

    most: float
    name: ClassVar[str] = "untranslated"

    @property
    def reason(self) -> str:
        """Names the threshold."""
        return f"more than {self.most:.0%} of a side's words that are no names stand in the other as they are"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether four or more different lower-case words (of three or more letters), too large a share, are on both sides."""
        if pair.target is None:
            return False
        ours, theirs = ({*_WORD.findall(side.text)} for side in (pair.source, pair.target))
        if len(ours & theirs) < _LEAST_COPIED:  # nearly always; to look for names takes long
            return False
        ours, theirs = ({*_WORD.findall(_NAME.sub("", side.text))} for side in (pair.source, pair.target))
        return _copied(ours, theirs, self.most) or _copied(theirs, ours, self.most)


def _ends(text: str) -> bool:
    return text.rstrip(_CLOSING).endswith(_ENDS)


def _at_most(text: str) -> int:
    """Return a number that the sentence ends of a text do not exceed."""
    return sum(map(text.count, ".!?" if text.isascii() else _ANY_END))


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _digits(text: str) -> Counter[str]:
    if not text.isascii():
        text = "".join(str(unicodedata.digit(letter)) if letter.isdigit() else letter for letter in text)
    return Counter(_DIGIT.findall(text))


def _sites(text: str) -> set[str]:
    if "@" not in text and "://" not in text and "www." not in text.lower():
        return set()
    return {found.lower().rpartition("//")[2].removeprefix("www.") for found in _ADDRESS.findall(text)}


def _copied(words: set[str], others: set[str], most: float) -> bool:
    plain = {word for word in words if word.islower()}
    copied = len(plain & others)
    return copied >= _LEAST_COPIED and copied > most * len(plain)
