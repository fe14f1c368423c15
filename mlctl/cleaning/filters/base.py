"""The protocols of filter rules, and the normalised pair with the counts that rules read."""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, Protocol

import regex  # type: ignore[import-untyped]

from mlctl.cleaning.characters import comparison_key
from mlctl.cleaning.duplicates import Mask
from mlctl.cleaning.normalize import NormalizedPair
from mlctl.core.unicode_scripts import UNSPACED_SCRIPTS
from mlctl.languages import script

_CHARACTERS_PER_WORD = 2
_ASCII_LETTERS_AND_SPACE = f"{string.ascii_letters} ".encode()
_COMBINING_MARK = regex.compile(r"\p{M}")


class Side:
    """One side of a pair with its counts.

    Attributes:
        text: the normalised text.
        others: its characters that are neither ASCII letters nor spaces, in order: short, and all that many rules look for.
        letters: letters and combining marks.
        symbols: characters that are neither letters nor spaces.
        spaced: whether the language is written with spaces between words.
        words: words; characters / 2 where words are not spaced.
    """

    __slots__ = ("letters", "others", "spaced", "symbols", "text", "words")

    def __init__(self, text: str, spaced: bool) -> None:
        spaces, others = text.count(" "), text.encode().translate(None, _ASCII_LETTERS_AND_SPACE).decode()
        letters = len(text) - spaces - len(others)
        if not others.isascii():
            letters += sum(map(str.isalpha, others))
            if letters + spaces < len(text):
                letters += len(_COMBINING_MARK.findall(others))
        self.text = text
        self.others = others
        self.letters = letters
        self.symbols = len(text) - letters - spaces
        self.spaced = spaced
        self.words = spaces + 1 if spaced else len(text) / _CHARACTERS_PER_WORD


class SentencePair:
    """A normalised pair. `target` is None for text without translation, which is then the `source`, whatever its language.

    `sides`: the source, and the target if the pair has one.
    """

    def __init__(self, normalized: NormalizedPair, source_spaced: bool, target_spaced: bool) -> None:
        self.normalized = normalized
        self.source = Side(normalized.source, source_spaced)
        self.target = None if normalized.target is None else Side(normalized.target, target_spaced)
        self.sides = (self.source,) if self.target is None else (self.source, self.target)

    @cached_property
    def source_key(self) -> str:
        """The source text as duplicates are compared."""
        return comparison_key(self.normalized.source)

    @cached_property
    def target_key(self) -> str:
        """The target text as duplicates are compared; "" without a target."""
        return comparison_key(self.normalized.target or "")


class Rule(Protocol):
    """A filter rule that decides on one pair at a time."""

    name: ClassVar[str]

    @property
    def reason(self) -> str:
        """What the rule drops, with its thresholds, for the report."""

    def drops(self, pair: SentencePair) -> bool:
        """Return whether the pair is dropped."""


class BatchRule(Protocol):
    """A filter rule that is faster on many pairs at once; its decision on a pair does not depend on the others."""

    name: ClassVar[str]

    @property
    def reason(self) -> str:
        """What the rule drops, with its thresholds, for the report."""

    def drops(self, pairs: Sequence[SentencePair]) -> Mask:
        """Return which pairs are dropped."""


def is_spaced(language: str) -> bool:
    """Return whether a language (canonical tag) is written with spaces between words."""
    return script(language) not in UNSPACED_SCRIPTS
