"""How unlikely the characters beyond ASCII of a text are in a language: by its alphabet, their neighbours and the words of the corpus."""

from __future__ import annotations

import functools
import itertools
import math
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import regex  # type: ignore[import-untyped]

from mlctl import languages
from mlctl.cleaning.mojibake.alphabet import Alphabet, alphabet
from mlctl.core.unicode_scripts import UNSPACED_SCRIPTS

#: What a character is to a language: a letter of its alphabet; of frequent foreign words; another of its script; of another script; a
#: quotation mark or dash; another symbol; a digit; a control; a space, a combining mark or an invisible character.
Kind = Literal["main", "auxiliary", "alien", "foreign", "quote", "sign", "digit", "control", "neutral"]

BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
WORD = regex.compile(r"[\p{L}\p{M}]+(?:['’ʼ·][\p{L}\p{M}]+)*")
QUOTES = "“”„‟‘’‚‛«»‹›–—―‐‑…•―´`ʻʼ"
DASHES = "–—―…•"
_APOSTROPHES = "’ʼʻ‘´‑‐"
_ORDINALS = "ªº°²³¹"
_BEFORE_WORDS, _AFTER_WORDS = "¿¡©®™$€£¥°§", "®™©°"
_CURRENCIES = "€£¥¤"
_WITH_INVERTED_MARKS = ("es", "gl", "ast", "an", "qu", "gn", "ay")
_WITH_MIDDLE_DOT = ("ca", "oc", "frp", "wa")
#: Characters that draw boxes.
BOX = frozenset(map(chr, (0x2320, 0x2321, *range(0x2500, 0x25A1))))
_DIRECTION_MARKS = "\u200e\u200f"
_LONG_WORD = 4
_EDGE = "\n"
_NO_WORD = (sys.maxsize, sys.maxsize)


class Costs(NamedTuple):
    """Negative log probabilities, in nats and rounded: chosen on the languages that benchmarks/mojibake.py names."""

    main: float = 3.0  # a letter of the alphabet, if nothing is known of the corpus
    seen: float = 2.0  # with both its neighbours as somewhere in the corpus
    half_seen: float = 4.0  # with one of them
    unseen: float = 8.0
    known_short_word: float = 0.0  # in a word of the corpus
    known_word: float = -4.0
    auxiliary: float = 9.0
    alien: float = 11.0
    foreign: float = 7.0
    foreign_run: float = 2.0
    accented_run: float = 11.0
    mixed: float = 13.0  # next to a letter of another script
    name: float = -3.0  # in a word with a capital: a name
    inner_capital: float = 9.0  # after a small letter, or before a capital and a small letter, or right after a punctuation mark
    quote: float = 3.0
    seen_quote: float = 1.5
    half_dash: float = 5.0
    apostrophe: float = 3.0
    inner_dash: float = 7.0
    inner_quote: float = 8.0
    digit: float = 3.0
    sign: float = 5.0
    box: float = 10.0
    ordinal_after_word: float = 10.0
    inner_sign: float = 12.0
    control: float = 14.0
    neutral: float = 1.0


COSTS = Costs()
_ROUGH: dict[Kind, float] = {
    "main": 0.0,
    "auxiliary": 6.0,
    "alien": 8.0,
    "foreign": 7.0,
    "control": 14.0,
    "quote": 0.0,
    "sign": 5.0,
    "digit": 3.0,
    "neutral": 1.0,
}


# Of a character that does not belong to the language, by its Unicode category.
_KINDS: dict[str, Kind] = {
    **dict.fromkeys("LM", "foreign"),
    **dict.fromkeys(("Cf", "Z"), "neutral"),
    **dict.fromkeys("NPS", "sign"),
    "Nd": "digit",
    "C": "control",
}


class _Neighbours(NamedTuple):
    before: str
    after: str

    @property
    def inner(self) -> bool:
        """Whether the character is between letters."""
        return self.before.isalpha() and self.after.isalpha()


@dataclass(frozen=True)
class LetterModel:
    """The alphabet of a language, and what a corpus in it has.

    Attributes:
        language: canonical tag.
        contexts: letters of the alphabet and quotation marks beyond ASCII with both neighbours, lower-case, as they occur in the corpus;
            empty: unknown.
        words: lower-case words of the corpus with letters beyond ASCII.
        learned: letters that the corpus has in addition to the alphabet; None: unknown.
        rare: letters of the alphabet that the corpus hardly has.
    """

    language: str
    contexts: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    learned: frozenset[str] | None = None
    rare: frozenset[str] = frozenset()

    @functools.cached_property
    def alphabet(self) -> Alphabet:
        """The alphabet of the language."""
        return alphabet(self.language)

    @property
    def usable(self) -> bool:
        """Whether the letters of the language are known at all."""
        return self.alphabet.known or (self.learned is not None and bool(self.alphabet.scripts))

    def reading_cost(self, text: str, reading: str, characters: int) -> float:
        """Return the cost of as much of a reading as the first `characters` characters beyond ASCII of the text are (some are of
        several bytes)."""
        length = len(BEYOND_ASCII.findall(text))
        found = BEYOND_ASCII.findall(reading)
        span = characters if length <= characters else math.ceil(characters * len(found) / length)
        # Words of another script may be right in a text, but do not make a reading likely.
        foreign = sum(self.kind(letter) == "foreign" for letter in found[:span])
        return self.cost(reading, span) + (COSTS.foreign - COSTS.foreign_run) * foreign

    def cost(self, text: str, characters: int) -> float:
        """Return the sum of the costs of the first `characters` characters beyond ASCII."""
        total, words = 0.0, self._known_words(text)
        start, end = next(words, _NO_WORD)
        for match in itertools.islice(BEYOND_ASCII.finditer(text), characters):
            index = match.start()
            if index >= end:
                start, end = next((word for word in words if word[1] > index), _NO_WORD)
                total += COSTS.known_word if start <= index and end - start >= _LONG_WORD else 0.0
            total += self._character_cost(text, index, known=start <= index < end)
        return total

    def surprise(self, text: str) -> float:
        """Return by how much the letters of the alphabet beyond ASCII cost more than letters that the corpus has beside their neighbours."""
        padded = f"{_EDGE}{text}{_EDGE}"
        starts = [match.start() for match in BEYOND_ASCII.finditer(text)]
        return sum(map(self._surprises.__getitem__, [padded[start : start + 3] for start in starts]))

    def count_impossible(self, text: str) -> int:
        """Return the number of characters that right text does not have: controls, signs in words, letters of two scripts in a word."""
        indices = (match.start() for match in BEYOND_ASCII.finditer(text))
        return sum(self._character_cost(text, index, known=False) >= COSTS.inner_sign for index in indices)

    def rough_cost(self, character: str) -> float:
        """Return about what a character costs, whatever its neighbours are."""
        return _ROUGH[self.kind(character)]

    def to_json(self) -> list[Any]:
        """Return the fields as JSON."""
        sets = (self.contexts, self.words, self.learned, self.rare)
        return [self.language, *(None if members is None else sorted(members) for members in sets)]

    @classmethod
    def from_json(cls, content: Sequence[Any]) -> Self:
        """Return what `to_json` returned."""
        return cls(content[0], *(None if members is None else frozenset(members) for members in content[1:]))  # type: ignore[arg-type]

    def is_own(self, character: str) -> bool:
        """Return whether a character of a word is a letter of ASCII or of the alphabet, or none."""
        return character.isascii() or not character.isalpha() or self.kind(character) == "main"

    def kind(self, character: str) -> Kind:
        """Return what a character is to the language."""
        kinds = self._kinds
        if character not in kinds:
            kinds[character] = self._find_kind(character)
        return kinds[character]

    @functools.cached_property
    def _unspaced(self) -> bool:
        """Whether the language is written without spaces between words."""
        return languages.script(self.language) in UNSPACED_SCRIPTS

    @functools.cached_property
    def _kinds(self) -> dict[str, Kind]:
        return {}

    @functools.cached_property
    def _surprises(self) -> _Surprises:
        return _Surprises(self)

    @functools.cached_property
    def half_contexts(self) -> frozenset[str]:
        """The contexts with `*` for one of the neighbours."""
        return frozenset(half for context in self.contexts for half in (f"{context[:2]}*", f"*{context[1:]}"))

    def _find_kind(self, character: str) -> Kind:
        own, category = self.alphabet, unicodedata.category(character)
        if character in own.main or character in (self.learned or ()):
            return "main"
        if character in QUOTES:  # also those that are modifier letters
            return "quote"
        if category[0] in "LM" and character not in _ORDINALS and own.contains(character):
            return "main" if own.whole_script else "auxiliary" if character in own.auxiliary else "alien"
        if category[0] != "L" and own.has_punctuation(character):
            return "quote"
        combining = category[0] == "M" and unicodedata.name(character, "").startswith("COMBINING")
        return "sign" if character in _ORDINALS else "neutral" if combining else _KINDS.get(category, _KINDS[category[0]])

    def _known_words(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of the corpus's words."""
        for match in WORD.finditer(text) if self.words else ():
            word = match[0]
            if not word.isascii() and word.lower() in self.words and has_regular_case(word):
                yield match.span()

    def _character_cost(self, text: str, index: int, known: bool) -> float:
        character = text[index]
        near = _Neighbours(text[index - 1] if index else _EDGE, text[index + 1] if index + 1 < len(text) else _EDGE)
        kind = self.kind(character)
        if kind == "main":
            return self._main_cost(text, index, near, known)
        if kind in ("auxiliary", "alien"):
            name = COSTS.name if _starts_with_capital(text, index) else 0.0
            return (COSTS.auxiliary if kind == "auxiliary" else COSTS.alien) + (_capital_cost(text, index, near) or name)
        if kind == "foreign":
            return self._foreign_cost(character, near)
        if self._unspaced:  # words begin and end anywhere
            near = _Neighbours(*(_EDGE if letter.isascii() or self.alphabet.contains(letter) else letter for letter in near))
        if kind == "sign":
            return self._sign_cost(text, index, near)
        if kind == "quote" and (known or context_of(near.before, character, near.after) in self.contexts):
            return 0.0 if known else COSTS.seen_quote
        return _mark_cost(kind, character, near)

    def _main_cost(self, text: str, index: int, near: _Neighbours, known: bool) -> float:
        if known:
            return 0.0
        cost = COSTS.main
        if self.contexts and text[index] not in (self.learned or ()):
            context = context_of(near.before, text[index], near.after)
            half = f"{context[:2]}*" in self.half_contexts or f"*{context[1:]}" in self.half_contexts
            cost = COSTS.seen if context in self.contexts else COSTS.half_seen if half else COSTS.unseen
        mixed = (
            near.before.isalpha() and not self.alphabet.contains(near.before) and not (self._unspaced and near.before.isascii())
        )
        return cost + _capital_cost(text, index, near) + (COSTS.mixed if mixed else 0.0)

    def _foreign_cost(self, character: str, near: _Neighbours) -> float:
        latin = _is_latin(character)
        if any(letter.isdigit() or (letter.isalpha() and _is_latin(letter) != latin) for letter in near):
            return COSTS.mixed
        if not any(letter.isalpha() and not letter.isascii() for letter in near):
            return COSTS.foreign
        # Words of accented letters alone are no language; of letters of another script they are another language.
        return COSTS.accented_run if latin else COSTS.foreign_run

    def _sign_cost(self, text: str, index: int, near: _Neighbours) -> float:
        character = text[index]
        if character == "·" and near.inner and self.language in _WITH_MIDDLE_DOT:
            return COSTS.apostrophe
        if character in _CURRENCIES and near.after.isdigit():
            return COSTS.sign
        inverted = character in "¿¡" and (near.before.isalpha() or self.language not in _WITH_INVERTED_MARKS)
        if near.inner or (near.after.isalpha() and character not in _BEFORE_WORDS) or inverted:
            return COSTS.inner_sign
        if near.before.isalpha() and character not in _AFTER_WORDS:
            if character not in _ORDINALS:
                return COSTS.inner_sign
            return COSTS.ordinal_after_word if index > 2 and text[index - 3 : index].isalpha() else COSTS.sign
        return COSTS.box if character in BOX else COSTS.sign


class _Surprises(dict[str, float]):
    """By how much a letter between its neighbours costs more than one that the corpus has between them, computed once each."""

    def __init__(self, model: LetterModel) -> None:
        super().__init__()
        self._model = model

    def __missing__(self, trigram: str) -> float:
        self[trigram] = surprise = self._surprise(*trigram)
        return surprise

    def _surprise(self, before: str, letter: str, after: str) -> float:
        context, halves = context_of(before, letter, after), self._model.half_contexts
        if letter not in self._model.alphabet.main or context in self._model.contexts:
            return 0.0
        half = f"{context[:2]}*" in halves or f"*{context[1:]}" in halves
        return (COSTS.half_seen if half else COSTS.unseen) - COSTS.seen


def context_of(before: str, letter: str, after: str) -> str:
    """Return a letter with its neighbours, lower-case; `^` and `$` stand for what is no letter."""
    left = before.lower()[0] if before.isalpha() else "^"
    return f"{left}{letter.lower()[0]}{after.lower()[0] if after.isalpha() else '$'}"


def has_regular_case(word: str) -> bool:
    """Return whether no capital follows a small letter."""
    return word.isupper() or word[1:].islower() or not word[1:]


def _capital_cost(text: str, index: int, near: _Neighbours) -> float:
    """Return the cost of a letter where none is written: `donÕt`, `ÒTwo`, `two.Ó`, `ìTwo`, `two.î`."""
    after_mark = near.before in ",.!?" and not near.after.isalpha()
    if not text[index].isupper():
        return COSTS.inner_capital if after_mark or (near.after.isupper() and not near.before.isalpha()) else 0.0
    before_word = near.after.isupper() and (text[index + 2 : index + 3].islower() or text[index + 2 : index + 3] in ("'", "’"))
    before_number = near.after.isdigit() and not near.before.isalnum()
    return COSTS.inner_capital if near.before.islower() or before_word or after_mark or before_number else 0.0


def _mark_cost(kind: Kind, character: str, near: _Neighbours) -> float:
    """Return the cost of a quotation mark, digit, control or space."""
    if kind == "quote":
        return _quote_cost(character, near)
    if kind == "digit":
        return COSTS.inner_sign if any(map(str.isalpha, near)) else COSTS.digit
    if kind == "control" or (near.inner and character in _DIRECTION_MARKS):
        return COSTS.control
    odd = unicodedata.combining(character) or (character == "\xa0" and near.inner) or character == "\xad"
    return COSTS.inner_quote if odd else COSTS.neutral


def _quote_cost(character: str, near: _Neighbours) -> float:
    """Return the cost of a quotation mark or dash by what it is next to."""
    if near.inner:
        return COSTS.apostrophe if character in _APOSTROPHES else COSTS.inner_dash if character in DASHES else COSTS.inner_quote
    if character == "”" and near.after.isalpha():
        return COSTS.inner_quote
    return COSTS.half_dash if character in DASHES and any(map(str.isalpha, near)) else COSTS.quote


def _starts_with_capital(text: str, index: int) -> bool:
    """Return whether the word of a letter starts with a capital."""
    while index and (text[index - 1].isalpha() or text[index - 1] in "'’-"):
        index -= 1
    return text[index].isupper()


@functools.cache
def _is_latin(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith("LATIN")
