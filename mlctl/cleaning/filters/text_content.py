"""Rules about the content of each side: empty, too short, too long, an identifier, or mostly symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mlctl.cleaning.filters.base import SentencePair

_ALLOWED_SYMBOLS = 3


@dataclass(frozen=True)
class Empty:
    """Nothing is left of a side, for example because it was markup only."""

    name: ClassVar[str] = "empty"
    reason: ClassVar[str] = "a side has no text"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether a side is empty."""
        return not pair.source.text or (pair.target is not None and not pair.target.text)


@dataclass(frozen=True)
class TooFewLetters:
    """Numbers, punctuation and single letters, which belong to no language."""

    min_letters: int
    name: ClassVar[str] = "too few letters"

    @property
    def reason(self) -> str:
        """What the rule drops, with its threshold."""
        return f"a side has fewer than {self.min_letters} letters"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether a side has too few letters (combining marks count; where words are not spaced, one letter can be a word)."""
        return any(side.letters < (self.min_letters if side.spaced else 1) for side in pair.sides)


@dataclass(frozen=True)
class TooLong:
    """Long text: the encoder truncates it, so that its end would have no counterpart."""

    max_characters: int
    max_words: int
    name: ClassVar[str] = "too long"

    @property
    def reason(self) -> str:
        """What the rule drops, with its thresholds."""
        return f"a side has more than {self.max_characters} characters or {self.max_words} words"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether a side is too long."""
        return any(len(side.text) > self.max_characters or side.words > self.max_words for side in pair.sides)


@dataclass(frozen=True)
class Identifier:
    """`Media_Manager`, `label_save`: an identifier of a program, not text."""

    name: ClassVar[str] = "identifier"
    reason: ClassVar[str] = "a side is one word with an underscore in it"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether a side is an identifier."""
        return any(side.words == 1 and "_" in side.others for side in pair.sides)


@dataclass(frozen=True)
class Punctuation:
    """Tables, formulas, code."""

    max_share: float
    name: ClassVar[str] = "punctuation"

    @property
    def reason(self) -> str:
        """What the rule drops, with its threshold."""
        return f"more than {self.max_share:.0%} of a side are neither letters nor spaces"

    def drops(self, pair: SentencePair) -> bool:
        """Return whether a side has too large a share of symbols (three are always allowed: `添加...`)."""
        return any(side.symbols > _ALLOWED_SYMBOLS and side.symbols > self.max_share * len(side.text) for side in pair.sides)
