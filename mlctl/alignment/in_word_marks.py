"""Punctuation inside words: apostrophes, middle dots, colons and gershayim that are spelling, by language.

The Moses tokenizer splits words at all of them. Which of them belong to a word, and where a word with an apostrophe is two, is taken from:

- Unicode's word boundaries (UAX #29): ALetter, MidLetter, MidNumLet and Single_Quote do not end a word between letters, nor does a
  quotation mark between Hebrew letters. CLDR 48: the colon, which UAX #29 has as MidLetter, only in Finnish, Swedish and Mohawk.
- CLDR 48, exemplar characters: the languages whose alphabet has an apostrophe (the ʻokina, the glottal stop), where it also starts
  and ends words.
- Elided articles, pronouns and prepositions, words before or after the apostrophe: the lists of Lucene's ElisionFilter (Catalan,
  French, Irish), extended by those of related languages; in Italian and its relatives any word can be elided.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Callable

import numpy as np
import regex  # type: ignore[import-untyped]

from mlctl.core.word_forms import APOSTROPHES

# Stand-ins: letters that the tokenizer does not split off. They replace one character each, so that ranges of the text stay valid.
_INSIDE, _LAST, _FIRST = "\u02ad", "\u02a9", "\u02aa"  # inside a word; last of a word; first of a word
_SYMBOL = ";"  # what the tokenizer always splits off

# Words before an apostrophe that are words of their own.
_ELIDED = {
    "fr": "c d j l m n s t qu jusqu lorsqu puisqu quoiqu",
    "oc": "c d j l m n s t v z qu aqu",
    "ca": "d l m n s t",
    "ast": "d l m n p s t qu",
    "an": "d l m n s t",
    "pt": "d n",
    "gl": "d n",
    "mwl": "d l",
    "ga": "b d m",
    "gd": "b d dh m th",
    "br": "d m n",
    "mt": "b f m s t x",
    "sq": "m s t ç",
    "lb": "d s",
    "eo": "d l",
}
# Any word can be elided before an apostrophe: Italian, its relatives, Romansh, northern French languages, Greek.
_ELIDING = frozenset("it co eml egl fur lij lld lmo nap pms rgn rm sc scn vec frp nrm pcd wa el".split())
# Words after an apostrophe that are words of their own.
_ENCLITIC = {
    "en": "d ll m re s t ve",
    "ca": "l ls m n ns s t",
    "oc": "l ls m n ns s t u us v vs",
    "cy": "ch i m n r th u w",
}
# Words that start with an apostrophe and stand alone.
_APOCOPIC = {**_ENCLITIC, "nl": "k m n r s t", "af": "k n s t"}
# CLDR's exemplar characters, without those that have the apostrophe between letters only (Breton, Ukrainian); Samoan, Tahitian,
# Rapa Nui, Niuean, Tetum and Guajiro, which have it too, are not in CLDR.
_LETTER = frozenset(
    "bew blo bss cad cic gn ha haw ie jgo kek lkt mgo mic moh mus nnh nv qu quc quz to uz sm ty rap niu tet tdt guc".split()
)
_ENDS_WORDS = _LETTER | _ELIDING | {"mt"}
_COLON = frozenset("fi sv moh se sma smj smn sms fit fkv krl olo vep".split())  # the Sami and Finnic neighbours write as Finnish
_MIDDLE_DOT_ENDS = frozenset(("el", "grc"))  # the middle dot is Greek's semicolon

_FLAGS = regex.V1 | regex.IGNORECASE
_A = f"[{APOSTROPHES}]"
_W = f"[[\\p{{L}}\\p{{M}}\u00ad\u200c\u200d\u2060]--{_A}]"  # of a word
_NO_W = "[^\\p{L}\\p{M}\\p{N}\u00ad\u200c\u200d\u2060]"  # of no word: a space, punctuation and also an apostrophe
_START, _END = f"(?<=^|{_NO_W}|{_A})", f"(?=$|[{_NO_W}--{_A}])"
_LETTER_AFTER, _WORD_AFTER = r"(?=\p{L})", r"(?=[\p{L}\p{N}])"
_HEBREW = r"\p{Hebrew}"
_MALTESE_ARTICLE = "(?:(?:i|ta|ma|fi|bi|mi|għa|sa|bħa|li)?l?[lċdnrstxzż]|[fb]l)"
# UAX #29's letters that are none by category, and its marks between letters, without the colon.
_LETTER_LIKE, _MIDDLE = r"[\p{WB=ALetter}--[\p{L}\p{Nl}\p{So}\p{Cn}]]", "[\\p{WB=MidLetter}--[:\ufe13\ufe55\uff1a]]"
_CATALAN_DOTS = "[\u2022\u2219\u22c5\u30fb]"  # written for the middle dot

_OPENING = regex.compile(rf"{_A}(?<=(?:^|[{_NO_W}--{_A}]).)(?=[[\p{{L}}\p{{N}}]--{_A}])", _FLAGS)
_CLOSING = regex.compile(rf"{_A}(?<=[^\s{APOSTROPHES}].){_END}", _FLAGS)
_KNOWN_TO_UNICODE = regex.compile(r"[\p{WB=ALetter}\p{WB=Hebrew_Letter}\p{WB=Numeric}]", regex.V1)

_Substitution = Callable[[str], str]


class InWordMarks:
    """Masks the punctuation inside the words of a language with letters, so that the tokenizer does not split there."""

    def __init__(self, language: str, alphanumeric: str) -> None:
        """`alphanumeric`: the characters that the tokenizer takes for letters and digits."""
        self._substitutions = _substitutions(language)
        self._classes = _Classes(frozenset(alphanumeric))
        self._candidates = _candidates("-" if language == "mt" else "")

    def mask(self, text: str) -> str:
        """Return a text of the same length, which the tokenizer splits into the words of the language but for the `cuts`."""
        if not text.isascii():
            text = text.translate(self._classes)
        if self._candidates.search(text):
            for substitute in self._substitutions:
                text = substitute(text)
        return text.replace("'", _SYMBOL).replace("`", _SYMBOL)  # the tokenizer's own rules for them are not those of a language


def cuts(masked: str) -> list[int]:
    """Return the positions of a masked text at which a word ends although the tokenizer does not split there."""
    if masked.isascii() or not (_LAST in masked or _FIRST in masked):
        return []
    return [index + (character == _LAST) for index, character in enumerate(masked) if character in (_LAST, _FIRST)]


class _Classes(dict[int, str]):
    """A `str.translate` table, filled on demand: characters that the tokenizer's table of letters takes for another class.

    It lacks the letters that Unicode has added since, and has the punctuation of Han, kana and Hangul.
    """

    def __init__(self, alphanumeric: frozenset[str]) -> None:
        super().__init__(dict.fromkeys(map(ord, (_LAST, _FIRST)), _INSIDE) | dict.fromkeys((0x2010, 0x2011), "-"))
        self._alphanumeric = alphanumeric

    def __missing__(self, code: int) -> str:
        character = chr(code)
        known = character in self._alphanumeric
        if known and unicodedata.category(character)[0] == "P":
            self[code] = _SYMBOL
        elif not known and unicodedata.category(character)[0] in "LN" and _KNOWN_TO_UNICODE.match(character):
            self[code] = _INSIDE
        else:
            self[code] = character
        return self[code]


@functools.cache
def _candidates(marks: str) -> re.Pattern[str]:
    """Return a pattern for the characters that can be in a substitution: the same, for Python's expressions, which are ten times as fast."""
    pattern = regex.compile(rf"{_A}|[:\"\u201d{_CATALAN_DOTS}{marks}]|{_MIDDLE}|{_LETTER_LIKE}", _FLAGS)
    every_character = np.arange(sys.maxunicode + 1, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
    return re.compile(f"[{re.escape(''.join(pattern.findall(every_character)))}]")


@functools.cache
def _substitutions(language: str) -> tuple[_Substitution, ...]:
    """Return the substitutions of a language, in order: to each, the stand-ins of those before it are letters."""
    rules = [*_elisions(language), _finals(language)]
    rules += [_replace(_A, _W if language == "en" else rf"(?:{_W}|\p{{N}})", _LETTER_AFTER, _INSIDE), _gershayim()]
    if language not in _MIDDLE_DOT_ENDS:
        rules.append(_replace(_MIDDLE, _W, _LETTER_AFTER, _INSIDE))
    rules.append(_replace(_CATALAN_DOTS, "l", "(?=l)", _INSIDE))
    rules.append(_replace(f"{_LETTER_LIKE}+", rf"[\p{{L}}\p{{M}}]{_LETTER_LIKE}*", "", _INSIDE))
    if language in _COLON:
        rules.append(_replace(":", r"[\p{L}\p{M}\p{N}]", r"(?=\p{Ll})", _INSIDE, regex.V1))
        rules.append(_replace(":", r"\p{Lu}", r"(?=\p{Lu})", _INSIDE, regex.V1))
    if language == "mt":
        rules.append(_replace("-", f"{_START}{_MALTESE_ARTICLE}", _LETTER_AFTER, _LAST))
    return tuple(rules)


def _elisions(language: str) -> list[_Substitution]:
    """Return the substitutions at which a word with an apostrophe is two."""
    rules = []
    if enclitics := _ENCLITIC.get(language):
        rules.append(_replace(_A, rf"(?:{_W}|\p{{N}})", rf"(?=(?:{_any(enclitics)})(?!{_W}|\p{{N}}))", _FIRST))
    if alone := _APOCOPIC.get(language):
        rules.append(_replace(_A, r"(?:^|\s)", rf"(?=(?:{_any(alone)})(?!\S))", _FIRST))
    if elided := _ELIDED.get(language):
        rules.append(_replace(_A, f"{_START}(?:{_any(elided)})", _WORD_AFTER, _LAST))
    if language in _ELIDING:
        rules.append(_replace(_A, _W, _WORD_AFTER, _LAST))
    return rules


def _finals(language: str) -> _Substitution:
    """Return the substitution of apostrophes at the ends of words, where no quotation was opened before, and at their starts.

    An elided word of a list needs no such test, unless it is itself in apostrophes.
    """
    elided = f"(?<!{_A}){_START}(?:{_any(_ELIDED[language])})" if language in _ELIDED else ""
    ends_elided = _replace(_A, elided, _END, _LAST) if elided else None
    mark = _A if language in _LETTER else f"[{_A}--[\u2018\u201b]]"  # these two only open quotations, or are the ʻokina
    final = regex.compile(f"{mark}(?<={_W if language in _ENDS_WORDS else _HEBREW}.){_END}", _FLAGS)

    def join_edges(text: str) -> str:
        text = ends_elided(text) if ends_elided else text
        openings, closings = [[match.start() for match in edge.finditer(text)] for edge in (_OPENING, _CLOSING)]
        first_opening, last_closing = min(openings, default=len(text)), max(closings, default=-1)
        if closings:
            text = final.sub(lambda match: _LAST if match.start() < first_opening else match[0], text)
        if openings and language in _LETTER:
            text = _OPENING.sub(lambda match: _FIRST if match.start() > last_closing else match[0], text)
        return text

    return join_edges


def _gershayim() -> _Substitution:
    """Return the substitution of quotation marks inside Hebrew acronyms; after a prefix they can open a quotation."""
    prefix = f"(?<={_START}[בהוכלמש].)"
    quoted = rf'(?!{prefix}{_HEBREW}{{2}}|{_HEBREW}{{2,}}["\u201d])'
    return _replace('["\u201d]', _HEBREW, rf"{quoted}(?={_HEBREW})", _INSIDE)


def _any(words: str) -> str:
    return "|".join(sorted(words.split(), key=len, reverse=True))


def _replace(mark: str, before: str, after: str, stand_in: str, flags: int = _FLAGS) -> _Substitution:
    """Return a substitution of a mark by as many stand-ins; looking for the mark first is several times as fast."""
    pattern = regex.compile(rf"{mark}(?<={before}.){after}" if before else mark + after, flags)
    return lambda text: pattern.sub(lambda match: stand_in * len(match[0]), text)
