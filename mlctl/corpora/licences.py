"""Licences: publishers' statements as SPDX expressions, and the check against the licences that a recipe allows.

A statement that names a family without the member ("BSD", "Apache Software License") becomes `LicenseRef-BSD` and so on, and is
allowed only under that name: the member would be a guess. A statement that names no licence becomes "unknown".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mlctl.config import Licences
from mlctl.errors import InputError

UNKNOWN = "unknown"

_FILLER = re.compile(
    r"\b(?:the|licen[cs]e[sd]?|under|terms of|version|ver|software|international|unported|universal|osi approved)\b"
)
_LATER = r"(?P<later> ?\+| (?:or|and) (?:any )?(?:later|greater|newer|above|higher))?"
_NUMBER = r"(?: ?v?\.? ?(?P<number>\d+(?:\.\d+)*))?"
_GNU = re.compile(rf"(?:gnu )?(?P<kind>[al]?)gpl{_NUMBER}{_LATER}")
_FIRST_VERSION = {"GPL": "1.0", "LGPL": "2.0", "AGPL": "3.0"}
_GNU_NAMES = (
    (re.compile(r"\baffero (?:general public|gpl)\b"), "agpl"),
    (re.compile(r"\b(?:lesser|library|library or lesser) (?:general public|gpl)\b"), "lgpl"),
    (re.compile(r"\bgeneral public\b"), "gpl"),
)
_CREATIVE = re.compile(
    r"cc (?P<terms>by(?: nc)?(?: sa| nd)?)(?: v?(?P<number>1\.0|2\.[015]|3\.0|4\.0))?(?: (?P<country>[a-z]{2,3}))?"
)
_CREATIVE_WORDS = (
    ("creative commons", "cc"), ("attribution", "by"), ("non commercial", "nc"), ("noncommercial", "nc"), ("share alike", "sa"),
    ("sharealike", "sa"), ("no derivatives", "nd"), ("noderivatives", "nd"), ("noderivs", "nd"), ("cc zero", "cc0"),
    ("public domain dedication", ""),
)  # fmt: skip
_CREATIVE_URL = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/(?:licen[cs]es|publicdomain)/(?P<path>[a-z0-9./-]+)", re.IGNORECASE
)
# Patterns of whole statements in lower case without filler words: classifiers of packages and common short names.
_NAMED = (
    (r"(?:mit|expat)(?: mit| expat)?", "MIT"),
    (r"(?:new|modified|revised) bsd|bsd (?:3|three) clause|(?:3|three) clause bsd|bsd 3", "BSD-3-Clause"),
    (r"(?:simplified|free) ?bsd|bsd (?:2|two) clause|(?:2|two) clause bsd|bsd 2", "BSD-2-Clause"),
    (r"bsd(?: style| like)?", "LicenseRef-BSD"),
    (r"apache(?: al)? v?2(?:\.0)?", "Apache-2.0"),
    (r"apache|asf|apache foundation", "LicenseRef-Apache"),
    (r"(?:mozilla public|mpl) v?2(?:\.0)?(?: mpl 2\.0)?", "MPL-2.0"),
    (r"(?:mozilla public|mpl) v?1\.1(?: mpl 1\.1)?", "MPL-1.1"),
    (r"mozilla public|mpl", "LicenseRef-MPL"),
    (r"(?:zope public|zpl) v?2\.1", "ZPL-2.1"),
    (r"zope public|zpl", "LicenseRef-ZPL"),
    (r"python foundation|psf", "LicenseRef-PSF"),
    (r"isc(?: iscl)?", "ISC"),
    (r"unlicense|un", "Unlicense"),
    (r"cc0(?: v?1\.0)?(?: cc0(?: 1\.0)?)?", "CC0-1.0"),
    (r"(?:in )?public domain", "LicenseRef-Public-Domain"),
    (r"(?:other )?proprietary|commercial|all rights reserved", "LicenseRef-Proprietary"),
)
_NAMES = tuple((re.compile(pattern), licence) for pattern, licence in _NAMED)
_JOINT = re.compile(r"(?P<any>\s+or\s+)|\s*[,;/|&]\s*|\s+and\s+", re.IGNORECASE)


@functools.lru_cache(maxsize=1024)
def spdx(stated: str) -> str:
    """Return the SPDX expression of a licence as its publisher states it, or "unknown".

    An SPDX expression is returned in SPDX's spelling. Several licences in one statement (classifiers, "MIT, BSD") are combined by
    AND, because nothing says that one may choose; "A or B" is a choice.
    """
    text = " ".join(stated.split())
    return _expression(text) or _named(text) or _several(text) or UNKNOWN


@dataclass(frozen=True)
class LicencePolicy:
    """The licences that a recipe allows; with an empty list, all are allowed."""

    allowed: frozenset[str]

    @classmethod
    def of(cls, settings: Licences) -> LicencePolicy:
        """Return the policy for the settings of a recipe.

        Raises:
            InputError: an entry is not a licence.
        """
        licences = {entry: UNKNOWN if entry.lower() == UNKNOWN else _single(entry) for entry in settings.allow}
        if invalid := [entry for entry, licence in licences.items() if not licence]:
            remedy = "write SPDX ids (spdx.org/licenses) such as MIT or CC-BY-4.0, LicenseRef-… or unknown"
            raise InputError(f"licences.allow: {invalid[0]!r} is not a licence", remedy)
        return cls(frozenset(licences.values()))

    def check(self, stated: Iterable[tuple[str, str]], when: str = "Nothing was downloaded") -> None:
        """Check (corpus, stated licence) pairs.

        Raises:
            InputError: lists every corpus whose licence is not allowed; `when` says what had been done by then.
        """
        licences = [(name, text, spdx(text)) for name, text in stated]  # not a mapping: corpora may have equal names
        refused = [(name, text, licence) for name, text, licence in licences if not self.allows(licence)]
        if not refused:
            return
        corpora = ", ".join(dict.fromkeys(f"{name} ({_description(licence, text)})" for name, text, licence in refused))
        ids = ", ".join(dict.fromkeys(licence for _, _, licence in refused))
        remedy = f"add {ids} to licences.allow, remove the corpus, or set its licence if its source has that setting"
        raise InputError(f"licences.allow does not cover {corpora}. {when}", remedy)

    def allows(self, expression: str) -> bool:
        """Return whether an SPDX expression is allowed: every operand of an AND, any operand of an OR."""
        if not self.allowed or expression in self.allowed:
            return True
        return expression != UNKNOWN and self._allows_parsed(_licensing().parse(expression))

    def _allows_parsed(self, part: Any) -> bool:
        licensing = _licensing()
        if isinstance(part, licensing.OR):
            return any(map(self._allows_parsed, part.args))
        if isinstance(part, licensing.AND):
            return all(map(self._allows_parsed, part.args))
        # An exception ("GPL-2.0-only WITH …") only adds permissions to the licence.
        return part.render() in self.allowed or getattr(part, "license_symbol", part).key in self.allowed


def _description(licence: str, stated: str) -> str:
    return licence if stated in ("", licence, UNKNOWN) else f"{licence}, stated as {stated!r}"


def _single(entry: str) -> str:
    """Return the id of an entry of the list; empty: it is not a licence, or an expression of several."""
    licence = spdx(entry)
    return "" if licence == UNKNOWN or re.search(r" (?:AND|OR) ", licence) else licence


@functools.cache
def _licensing() -> Any:
    # Imported on first use: building its table of licences takes long.
    from license_expression import LicenseSymbol, Licensing, get_spdx_licensing

    # Without its aliases for LicenseRef-… ids, which are guesses.
    symbols = (symbol for key, symbol in get_spdx_licensing().known_symbols.items() if not key.startswith("LicenseRef-"))
    return Licensing([LicenseSymbol(s.key, _spdx_aliases(s.aliases), s.is_exception) for s in symbols])


def _spdx_aliases(aliases: Iterable[str]) -> tuple[str, ...]:
    return tuple(alias for alias in aliases if not alias.startswith("LicenseRef-"))


def _expression(text: str) -> str:
    """Return an SPDX expression in SPDX's spelling; empty: it is not one. Any `LicenseRef-…` is valid."""
    try:
        parsed = _licensing().parse(text)
        unknown = [""] if parsed is None else _licensing().unknown_license_keys(parsed)
    except Exception:  # the parser raises many types for invalid text
        return ""
    return "" if any(not re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", key) for key in unknown) else str(parsed.render())


def _named(text: str) -> str:
    """Return the one licence that a text names in words; empty: none. Brackets may repeat the name: the text is tried without them."""
    for variant in (text, re.sub(r"\s*\([^)]*\)", "", text)):
        plain = _plain(variant)
        named = (licence for name, licence in _NAMES if name.fullmatch(plain))
        for licence in (_creative(variant, plain), _gnu(plain), *named):
            if licence:
                return licence
    return ""


def _plain(text: str) -> str:
    """Return the words of a text that distinguish licences, in lower case."""
    words = re.sub(r"[^a-z0-9.+]+", " ", re.sub(r",? version ", " ", text.lower()))
    return " ".join(_FILLER.sub(" ", words).split())


def _gnu(plain: str) -> str:
    for words, short in _GNU_NAMES:
        plain = words.sub(short, plain)
    match = _GNU.fullmatch(plain)
    if not match:
        return ""
    name = f"{match['kind'].upper()}GPL"
    if not match["number"]:  # without a number, the licences themselves allow any version ever published
        return f"{name}-{_FIRST_VERSION[name]}-or-later"
    number = match["number"] if "." in match["number"] else f"{match['number']}.0"
    return _expression(f"{name}-{number}-{'or-later' if match['later'] else 'only'}")


def _creative(text: str, plain: str) -> str:
    """Return the id of a Creative Commons licence from its URL or name; if SPDX has no id, a LicenseRef in the same form."""
    if url := _CREATIVE_URL.search(text):
        path = url["path"].removesuffix("/").removesuffix("/deed.en").removesuffix("/legalcode")
        plain = "cc0 1.0" if path.startswith("zero") else "cc " + " ".join(re.split("[/-]", path))
    for words, short in _CREATIVE_WORDS:
        plain = plain.replace(words, short)
    plain = " ".join(dict.fromkeys(plain.split()))  # "Creative Commons Attribution (CC BY)" repeats the words
    if plain in ("cc0", "cc0 1.0", "cc cc0", "cc cc0 1.0", "cc zero", "cc zero 1.0", "cc zero v1.0", "cc cc0 v1.0"):
        return "CC0-1.0"
    match = _CREATIVE.fullmatch(plain)
    if not match:
        return ""
    pieces = ("cc", match["terms"].replace(" ", "-"), match["number"], match["country"])
    name = "-".join(piece for piece in pieces if piece).upper()
    return _expression(name) or f"LicenseRef-{name}"


def _several(text: str) -> str:
    """Return the expression of a text that names several licences; empty: it does not."""
    pieces = [piece for piece in _JOINT.split(text)[::2] if piece]
    licences = [_expression(piece) or _named(piece) for piece in pieces]
    if len(pieces) < 2 or not all(licences):
        return ""
    choices = [bool(match["any"]) for match in _JOINT.finditer(text)]
    if any(choices) and not all(choices):
        return ""
    operands = (f"({licence})" if " " in licence else licence for licence in dict.fromkeys(licences))
    return (" OR " if any(choices) else " AND ").join(operands)
