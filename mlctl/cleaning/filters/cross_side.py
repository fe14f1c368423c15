"""Rules about what both sides of a pair must have in common (placeholders, digits, addresses, sentence ends), and copied text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from mlctl.cleaning.filters.base import SentencePair, Side

_NO_LETTER, _LETTER = re.compile(r"[\W_]+"), re.compile(r"[^\W_]")
_MAX_KEY_LENGTH_DIFFERENCE = 8  # characters; keys that differ by more are not compared without their punctuation
_DIGIT = re.compile("[1-9]")
_ALLOWED_DIGITS = 4
_ADDRESS = re.compile(r"(?:https?://|www\.)[\w-]+(?:\.[\w-]+)+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE | re.ASCII)
_WWW = re.compile(r"[wW]{3}\.")
_FILE_NAME = re.compile(r"\S*\w[./@:_\\]\w\S*")
_HAN_DIGITS = str.maketrans("一二三四五六七八九", "123456789")
_SENTENCE_END_MARKS = ".!?…।؟۔。！？"
_SENTENCE_END = re.compile("[.!?…।؟۔]+(?=[\\s\"'”»)]|$)|[。！？]")
_MIN_COPIED_WORDS = 4
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class Placeholders:
    """A placeholder of one side alone stands for words that the other side does not have."""

    name: ClassVar[str] = "placeholders"
    reason: ClassVar[str] = "the sides have different placeholders"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether the placeholders differ as multisets."""
        return pair.target is not None and pair.normalized.source_placeholders != pair.normalized.target_placeholders


@dataclass(frozen=True)
class Identical:
    """Text that was copied, not translated, has no cross-lingual signal."""

    name: ClassVar[str] = "identical"
    reason: ClassVar[str] = "both sides have the same letters"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether the sides are equal except for case, spaces and punctuation."""
        if pair.target is None:
            return False
        source, target = pair.source_key, pair.target_key
        if source == target:
            return True
        if abs(len(source) - len(target)) > _MAX_KEY_LENGTH_DIFFERENCE or _first_letter(source) != _first_letter(target):
            return False
        return _without_symbols(source) == _without_symbols(target)


@dataclass(frozen=True)
class Numbers:
    """Digits survive translation: many digits on one side alone mean that the sides are different texts."""

    min_shared: float
    name: ClassVar[str] = "numbers"

    @property
    def reason(self) -> str:
        """What the rule drops, with its threshold."""
        return f"the sides share less than {self.min_shared:.0%} of their digits"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether the sides share too few digits other than 0 (of any script); a difference of four is always allowed."""
        if pair.target is None or not (_has_digit(pair.source.others) or _has_digit(pair.target.others)):
            return False
        source, target = _digits(pair.source.others), _digits(pair.target.others)
        total, common = source.total() + target.total(), 2 * (source & target).total()
        if total - common > _ALLOWED_DIGITS and not (
            pair.source.spaced and pair.target.spaced
        ):  # numbers may be written in words
            source, target = (_digits(side.others.translate(_HAN_DIGITS)) for side in pair.sides)
            common = min(total, 2 * (source & target).total())
        return total - common > _ALLOWED_DIGITS and common < self.min_shared * total


@dataclass(frozen=True)
class Addresses:
    """Web and mail addresses are not translated."""

    name: ClassVar[str] = "addresses"
    reason: ClassVar[str] = "one side has more URLs or mail addresses than the other, and they have none in common"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether one side has more sites than the other and they have none in common."""
        if pair.target is None:
            return False
        if not (_can_have_address(pair.source) or _can_have_address(pair.target)):  # nearly always
            return False
        source, target = _sites(pair.source.text), _sites(pair.target.text)
        return len(source) != len(target) and not source & target


@dataclass(frozen=True)
class SentenceEnds:
    """Several sentences on one side and one on the other: one side has more content."""

    max_difference: int
    name: ClassVar[str] = "sentence ends"

    @property
    def reason(self) -> str:
        """What the rule drops, with its threshold."""
        return f"one side has over {self.max_difference} sentence ends more than the other"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether the numbers of sentence ends differ by too many."""
        if pair.target is None:
            return False
        if max(map(_max_sentence_ends, pair.sides)) <= self.max_difference:  # nearly always, and cheap
            return False
        source, target = pair.source.text, pair.target.text
        return abs(len(_SENTENCE_END.findall(source)) - len(_SENTENCE_END.findall(target))) > self.max_difference


@dataclass(frozen=True)
class Untranslated:
    """A copy with small changes, or a partly translated sentence."""

    max_copied: float
    name: ClassVar[str] = "untranslated"

    @property
    def reason(self) -> str:
        """What the rule drops, with its threshold."""
        return f"more than {self.max_copied:.0%} of a side's lower-case words occur unchanged in the other side"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether too large a share of a side's lower-case words, and at least four, are on the other side too.

        Only distinct words of three or more letters count; file names and addresses do not.
        """
        if pair.target is None:
            return False
        # Nearly always the sides share few words, even as parts of others; the search for file names is slow.
        words, opposite = {*_WORD.findall(pair.source.text)}, pair.target.text
        if len([word for word in words if word in opposite]) < _MIN_COPIED_WORDS:
            return False
        source, target = ({*_WORD.findall(_FILE_NAME.sub("", side.text))} for side in (pair.source, pair.target))
        return _is_copied(source, target, self.max_copied) or _is_copied(target, source, self.max_copied)


def _first_letter(key: str) -> str:
    match = _LETTER.search(key)
    return match[0] if match else ""


def _without_symbols(text: str) -> str:
    return _NO_LETTER.sub("", text)


def _max_sentence_ends(side: Side) -> int:
    """Return an upper bound of the number of sentence ends in a text."""
    return sum(map(side.others.count, ".!?" if side.others.isascii() else _SENTENCE_END_MARKS))


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _digits(text: str) -> Counter[str]:
    if not text.isascii():
        text = "".join(str(unicodedata.digit(character)) if character.isdigit() else character for character in text)
    return Counter(_DIGIT.findall(text))


def _can_have_address(side: Side) -> bool:
    others = side.others
    return "@" in others or "://" in others or ("." in others and _WWW.search(side.text) is not None)


def _sites(text: str) -> set[str]:
    return {address.lower().rpartition("//")[2].removeprefix("www.") for address in _ADDRESS.findall(text)}


def _is_copied(words: set[str], other_words: set[str], max_copied: float) -> bool:
    lowercase = {word for word in words if word.islower()}
    copied = len(lowercase & other_words)
    return copied >= _MIN_COPIED_WORDS and copied > max_copied * len(lowercase)
