"""Rules about what a side is: its characters, its script, its language."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import langcodes
import regex  # type: ignore[import-untyped]
from ftfy.badness import badness
from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

from mlctl.cleaning.rules import Candidate, Side

# Scripts of languages that write in several at once, and of Han in its two forms.
_MIXED = {
    "Jpan": ("Hani", "Hira", "Kana"),
    "Kore": ("Hang", "Hani"),
    "Hans": ("Hani", "Bopo"),
    "Hant": ("Hani", "Bopo"),
}
_FEW_LETTERS = 4
_ODD = 1  # one odd neighbourhood of characters is a typing error
_LONGEST_LOOK = 160  # characters that are enough to know a language by
# Languages that are written most on the web: what a wrong language can be. Of the identifier's 140, small ones with large neighbours
# would take text away from those.
_CANDIDATES = (
    "af ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko lt lv mk ml mn mr ms "
    "my ne nl no pa pl ps pt ro ru si sk sl so sq sr sv sw ta te th tl tr uk ur uz vi zh"
).split()
# What the identifier can hardly tell from each other.
_ALIKE = (
    {"bs", "hr", "sr"},
    {"id", "ms"},
    {"da", "no", "nn", "nb"},
    {"zh", "wuu", "yue", "lzh"},
    {"gl", "pt"},
    {"cs", "sk"},
    {"fa", "prs"},
    {"az", "tr"},
    {"be", "uk"},
    {"bg", "mk"},
)


@dataclass(frozen=True)
class Mojibake:
    """Text that was decoded wrongly, in a way that cannot be undone."""

    name: ClassVar[str] = "mojibake"
    reason: ClassVar[str] = "characters of a side were lost or decoded wrongly"

    def drops(self, pair: Candidate) -> bool:
        """Tell whether a side has replacement characters or sequences that only wrong decoding makes."""
        return any(not side.text.isascii() and ("\ufffd" in side.text or badness(side.text) > _ODD) for side in pair.sides)


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

    def drops(self, pair: Candidate) -> bool:
        """Tell whether a side is in another language."""
        return self._wrong(pair.source, self.source) or (pair.target is not None and self._wrong(pair.target, self.target))

    def _wrong(self, side: Side, language: str) -> bool:
        own = _alike(language)
        if side.letters < self.letters or own.isdisjoint(_CANDIDATES):
            return False
        text = side.text[:_LONGEST_LOOK]
        best, score = identifier().classify(text)
        if best in own:
            return False
        return bool(score - max(mark for label, mark in identifier().rank(text) if label in own) > self.margin)


@functools.cache
def identifier() -> LanguageIdentifier:
    """Return the language identifier, loaded once a process, set to the languages that it can tell well."""
    made = LanguageIdentifier.from_model_file(MODEL_FILE)
    made.set_languages(_CANDIDATES)
    return made


@functools.cache
def _alike(language: str) -> frozenset[str]:
    base = language.partition("-")[0]
    return frozenset({base}.union(*(group for group in _ALIKE if base in group)))


@functools.cache
def _foreign_letters(language: str) -> regex.Pattern[str] | None:
    """Return what matches a letter of another script than the language's; None where the script is not known."""
    script = langcodes.Language.get(language).maximize().script
    own = "".join(rf"\p{{Script={name}}}" for name in _MIXED.get(script or "", (script,)))
    try:
        return regex.compile(rf"[[\p{{L}}\p{{M}}]--[{own}\p{{Script=Zyyy}}\p{{Script=Zinh}}]]", regex.V1)
    except regex.error:
        return None
