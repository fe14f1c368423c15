"""The protocols of filter rules, and the normalised pair with the counts that rules read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import ClassVar, Protocol

import regex  # type: ignore[import-untyped]

from mlctl.cleaning.characters import comparison_key
from mlctl.cleaning.duplicates import Mask
from mlctl.cleaning.normalize import NormalizedPair
from mlctl.core.unicode_scripts import UNSPACED_SCRIPTS
from mlctl.languages import script

_CHARACTERS_PER_WORD = 2
_COMBINING_MARK = regex.compile(r"\p{M}")


class Side:
    """One side of a pair with its counts.

    Attributes:
        text: the normalised text.
        letters: letters and combining marks.
        symbols: characters that are neither letters nor spaces.
        spaced: whether the language is written with spaces between words.
        words: words; characters / 2 where words are not spaced.
    """

    __slots__ = ("letters", "spaced", "symbols", "text", "words")

    def __init__(self, text: str, spaced: bool) -> None:
        spaces = text.count(" ")
        letters = sum(map(str.isalpha, text))
        if letters + spaces < len(text) and not text.isascii():
            letters += len(_COMBINING_MARK.findall(text))
        self.text = text
        self.letters = letters
        self.symbols = len(text) - letters - spaces
        self.spaced = spaced
        self.words = spaces + 1 if spaced else len(text) / _CHARACTERS_PER_WORD


class SentencePair:
    """A normalised pair. `target` is None for text without translation, which is then the `source`, whatever its language."""

    def __init__(self, normalized: NormalizedPair, source_spaced: bool, target_spaced: bool) -> None:
        self.normalized = normalized
        self.source = Side(normalized.source, source_spaced)
        self.target = None if normalized.target is None else Side(normalized.target, target_spaced)

    @property
    def sides(self) -> Iterator[Side]:
        """Yield the source, and the target if the pair has one."""
        yield self.source
        if self.target is not None:
            yield self.target

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
