"""The rules that judge one pair: small objects with a name, a threshold and a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import regex  # type: ignore[import-untyped]

from mlctl.cleaning.characters import comparable
from mlctl.cleaning.normalize import Tidied

# Languages that put no spaces between words.
_UNSPACED = frozenset("zh yue wuu lzh ja th lo km my bo dz".split())
_CHARACTERS_A_WORD = 2
_FEW_SYMBOLS = 3
_MARK = regex.compile(r"\p{M}")


class Side:
    """One side of a pair with what rules measure on it."""

    __slots__ = ("letters", "spaced", "symbols", "text", "words")

    def __init__(self, text: str, spaced: bool) -> None:
        spaces = text.count(" ")
        letters = sum(map(str.isalpha, text))
        if letters + spaces < len(text) and not text.isascii():
            letters += len(_MARK.findall(text))
        self.text = text
        self.letters = letters
        self.symbols = len(text) - letters - spaces
        self.spaced = spaced
        self.words = spaces + 1 if spaced else len(text) / _CHARACTERS_A_WORD


class Candidate:
    """A pair that is being judged; for text without translation, its source side alone."""

    def __init__(self, tidied: Tidied, source_spaced: bool, target_spaced: bool) -> None:
        self.tidied = tidied
        self.source = Side(tidied.source, source_spaced)
        self.target = None if tidied.target is None else Side(tidied.target, target_spaced)

    @property
    def sides(self) -> Iterator[Side]:
        """Yield the sides that are there."""
        yield self.source
        if self.target is not None:
            yield self.target

    @cached_property
    def source_key(self) -> str:
        """What makes a source text the same as another."""
        return comparable(self.tidied.source)

    @cached_property
    def target_key(self) -> str:
        """What makes a translation the same as another."""
        return comparable(self.tidied.target or "")


class Rule(Protocol):
    """Decides on one pair at a time."""

    name: ClassVar[str]

    @property
    def reason(self) -> str:
        """What is wrong with the pairs it drops, for people."""

    def drops(self, pair: Candidate) -> bool:
        """Tell whether the pair goes."""


@dataclass(frozen=True)
class Empty:
    """Nothing is left of a side, for example because it was markup only."""

    name: ClassVar[str] = "empty"
    reason: ClassVar[str] = "a side has no text"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether a side is empty."""
        return not pair.source.text or (pair.target is not None and not pair.target.text)


@dataclass(frozen=True)
class Placeholders:
    """A placeholder that one side has and the other has not stands for words that only one side says."""

    name: ClassVar[str] = "placeholders"
    reason: ClassVar[str] = "the sides have different placeholders"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether the placeholders differ as multisets."""
        return pair.target is not None and pair.tidied.source_placeholders != pair.tidied.target_placeholders


@dataclass(frozen=True)
class TooFewLetters:
    """Numbers, punctuation and single letters say nothing about a language."""

    least: int
    name: ClassVar[str] = "too few letters"

    @property
    def reason(self) -> str:
        """Names the threshold."""
        return f"a side has fewer than {self.least} letters"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether a side has too few letters (combining marks count; where words are not spaced, one letter can be a word)."""
        return any(side.letters < (self.least if side.spaced else 1) for side in pair.sides)


@dataclass(frozen=True)
class TooLong:
    """Long text is cut by the encoder, so that its end would have no counterpart."""

    characters: int
    words: int
    name: ClassVar[str] = "too long"

    @property
    def reason(self) -> str:
        """Names both thresholds."""
        return f"a side has more than {self.characters} characters or {self.words} words"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether a side is too long."""
        return any(len(side.text) > self.characters or side.words > self.words for side in pair.sides)


@dataclass(frozen=True)
class Identifier:
    """`Media_Manager`, `label_save`: a name for programs, not a text."""

    name: ClassVar[str] = "identifier"
    reason: ClassVar[str] = "a side is one word with an underscore in it"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether a side is an identifier."""
        return any(side.words == 1 and "_" in side.text for side in pair.sides)


@dataclass(frozen=True)
class Identical:
    """A text that was copied, not translated: it teaches nothing across languages."""

    name: ClassVar[str] = "identical"
    reason: ClassVar[str] = "both sides say the same in the same letters"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether the sides are equal but for case, spaces and punctuation."""
        if pair.target is None:
            return False
        ours, theirs = pair.source_key, pair.target_key
        return ours == theirs or (abs(len(ours) - len(theirs)) <= 8 and _bare(ours) == _bare(theirs))


@dataclass(frozen=True)
class Punctuation:
    """Tables, formulas, code."""

    most: float
    name: ClassVar[str] = "punctuation"

    @property
    def reason(self) -> str:
        """Names the threshold."""
        return f"more than {self.most:.0%} of a side are neither letters nor spaces"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether a side has too large a share of other characters (three are always allowed: `添加...`)."""
        return any(side.symbols > max(_FEW_SYMBOLS, self.most * len(side.text)) for side in pair.sides)


def is_spaced(language: str) -> bool:
    """Tell whether a language (canonical tag) writes spaces between words."""
    return language.partition("-")[0] not in _UNSPACED


_NEITHER = re.compile(r"[\W_]+")


def _bare(text: str) -> str:
    return _NEITHER.sub("", text)
