"""The letters of a language, and the encodings that its text may be in."""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass
from importlib import resources

import regex  # type: ignore[import-untyped]

from mlctl import languages
from mlctl.cleaning.mojibake.encodings import MULTI_BYTE, SINGLE_BYTE, upper_half

# Letters that stand for others in encodings that lack those: Romanian with cedillas.
_LEGACY_LETTERS = {"ro": "şţ"}
# Encodings of Western Europe: lines with few letters beyond ASCII fit into them in every language in Latin script.
_WESTERN = ("latin-1", "sloppy-windows-1252", "mac_roman", "cp437", "cp850")
_COMBINING = "sloppy-windows-1258"  # Vietnamese, with combining marks
_MIN_COVERAGE = 0.7  # of the main letters, by an encoding in which the language may be written
_MIN_LETTERS = 20  # of the script, for languages whose letters are not listed
_LISTED_SCRIPTS = {"Latn", "Cyrl"}
_SCRIPT_NAMES = {"Arab": "ARABIC", "Hebr": "HEBREW", "Thai": "THAI", "Grek": "GREEK"}


@dataclass(frozen=True)
class Alphabet:
    """The letters of a language.

    Attributes:
        main: its letters beyond ASCII, in both cases, if it is in Latin or Cyrillic script.
        auxiliary: letters of frequent foreign words.
        scripts: the scripts of Unicode that it is written in; (): unknown.
        written: names of the encodings that its text may be in.
        known: whether its letters are known.
    """

    main: frozenset[str]
    auxiliary: frozenset[str]
    scripts: tuple[str, ...]
    written: tuple[str, ...]
    known: bool

    @property
    def whole_script(self) -> bool:
        """Whether every letter of the script belongs to the language."""
        return bool(self.scripts) and not _LISTED_SCRIPTS.intersection(self.scripts)

    def contains(self, letter: str) -> bool:
        """Return whether a letter is of the language's script; True if that is unknown."""
        if letter.isascii():
            return not self.scripts or "Latn" in self.scripts
        pattern = _script_pattern(self.scripts)
        return pattern is None or pattern.match(letter) is not None

    def has_punctuation(self, character: str) -> bool:
        """Return whether a character is punctuation of the language's own script."""
        return any(unicodedata.name(character, "").startswith(_SCRIPT_NAMES.get(script, "-")) for script in self.scripts)


@functools.cache
def alphabet(language: str) -> Alphabet:
    """Return the alphabet of a language (canonical tag)."""
    row = _rows().get(language)
    main, auxiliary = (frozenset((*letters, *letters.upper())) for letters in row or ("", ""))
    scripts = languages.unicode_scripts(language)
    if scripts == ("Cyrl",):  # the letters of Russian loan words are written in all other languages too
        main, auxiliary = main | auxiliary, frozenset()
    known = row is not None or bool(scripts and not _LISTED_SCRIPTS.intersection(scripts))
    return Alphabet(main, auxiliary - main, scripts, _encodings(language, main, scripts), known)


def _encodings(language: str, main: frozenset[str], scripts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the encodings that have most letters of the language."""
    western = _WESTERN if "Latn" in scripts else ()
    covering = [name for name in SINGLE_BYTE if _covers(name, main, scripts)]
    return tuple(dict.fromkeys((*covering, *western, "utf-8", *MULTI_BYTE.get(languages.script(language) or "", ()))))


def _covers(encoding: str, main: frozenset[str], scripts: tuple[str, ...]) -> bool:
    if encoding == _COMBINING:
        return False
    letters = upper_half(encoding)
    if main:
        return len(main & letters.keys()) >= _MIN_COVERAGE * len(main)
    pattern = _script_pattern(scripts)
    return pattern is not None and "Latn" not in scripts and len(pattern.findall("".join(letters))) >= _MIN_LETTERS


@functools.cache
def _script_pattern(scripts: tuple[str, ...]) -> regex.Pattern[str] | None:
    """Return a pattern for letters and marks of scripts, for example the long vowel mark of Kana; None without scripts."""
    # Combining marks are extensions of Latin and Cyrillic script, where few languages have them.
    name = "Script" if _LISTED_SCRIPTS.intersection(scripts) else "Script_Extensions"
    own = "".join(rf"\p{{{name}={script}}}" for script in scripts)
    return regex.compile(rf"[[{own}]&&[\p{{L}}\p{{M}}]]", regex.V1) if own else None


@functools.cache
def _rows() -> dict[str, tuple[str, str]]:
    """Return the main and the auxiliary letters of each listed language."""
    text = resources.files(__package__).joinpath("letters.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return {language: (main + _LEGACY_LETTERS.get(language, ""), auxiliary) for language, main, auxiliary in rows}
