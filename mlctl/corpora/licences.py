"""Licences: what publishers write becomes an SPDX expression, and the recipe says which ones a run may use.

What names a family without saying which member ("BSD", "Apache Software License") becomes `LicenseRef-BSD` and so on, and is
allowed only by that name: guessing the member would be a claim that nobody made. What names no licence is "unknown".
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
    r"cc (?P<terms>by(?: nc)?(?: sa| nd)?)(?: v?(?P<number>1\.0|2\.[015]|3\.0|4\.0))?(?: (?P<place>[a-z]{2,3}))?"
)
_CREATIVE_WORDS = (
    ("creative commons", "cc"), ("attribution", "by"), ("non commercial", "nc"), ("noncommercial", "nc"), ("share alike", "sa"),
    ("sharealike", "sa"), ("no derivatives", "nd"), ("noderivatives", "nd"), ("noderivs", "nd"), ("cc zero", "cc0"),
    ("public domain dedication", ""),
)  # fmt: skip
_ADDRESS = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/(?:licen[cs]es|publicdomain)/(?P<path>[a-z0-9./-]+)", re.IGNORECASE
)
# The whole text, without filler words, in lower case. Classifiers of packages and short names that people write.
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
    """Return the SPDX expression of a licence as its publisher writes it, or "unknown".

    An expression stays what it is, in SPDX's own spelling. Several licences in one text (classifiers, "MIT, BSD") are taken to
    bind together (AND), because nothing says that one may choose; "A or B" is a choice.
    """
    text = " ".join(stated.split())
    return _expression(text) or _named(text) or _several(text) or UNKNOWN


@dataclass(frozen=True)
class LicencePolicy:
    """The licences that a recipe allows; with none named, everything passes."""

    allowed: frozenset[str]

    @classmethod
    def of(cls, settings: Licences) -> LicencePolicy:
        """Read the recipe's list.

        Raises:
            InputError: an entry is no licence.
        """
        found = {entry: UNKNOWN if entry.lower() == UNKNOWN else _single(entry) for entry in settings.allow}
        if wrong := [entry for entry, licence in found.items() if not licence]:
            remedy = "write SPDX ids (spdx.org/licenses) such as MIT or CC-BY-4.0, LicenseRef-… or unknown"
            raise InputError(f"licences.allow: {wrong[0]!r} is no licence", remedy)
        return cls(frozenset(found.values()))

    def check(self, stated: Iterable[tuple[str, str]], when: str = "Nothing was downloaded") -> None:
        """Let pass (corpus, licence as stated) pairs whose licence is allowed.

        Raises:
            InputError: names every corpus that is outside; `when` says what had been done by then.
        """
        found = [(name, text, spdx(text)) for name, text in stated]  # no mapping: corpora may have equal names
        outside = [(name, text, licence) for name, text, licence in found if not self.allows(licence)]
        if not outside:
            return
        told = ", ".join(dict.fromkeys(f"{name} ({_told(licence, text)})" for name, text, licence in outside))
        ids = ", ".join(dict.fromkeys(licence for _, _, licence in outside))
        remedy = f"add {ids} to licences.allow, take the corpus out, or name its licence where its source has that setting"
        raise InputError(f"licences.allow does not cover {told}. {when}", remedy)

    def allows(self, expression: str) -> bool:
        """Tell whether an SPDX expression is covered: every part of an AND, any part of an OR."""
        if not self.allowed or expression in self.allowed:
            return True
        return expression != UNKNOWN and self._covers(_licensing().parse(expression))

    def _covers(self, part: Any) -> bool:
        licensing = _licensing()
        if isinstance(part, licensing.OR):
            return any(map(self._covers, part.args))
        if isinstance(part, licensing.AND):
            return all(map(self._covers, part.args))
        # An exception ("GPL-2.0-only WITH …") only ever allows more than the licence that it goes with.
        return part.render() in self.allowed or getattr(part, "license_symbol", part).key in self.allowed


def _told(licence: str, stated: str) -> str:
    return licence if stated in ("", licence, UNKNOWN) else f"{licence}, stated as {stated!r}"


def _single(entry: str) -> str:
    """Return the id of an entry of the list, or nothing where it is none or an expression of several."""
    licence = spdx(entry)
    return "" if licence == UNKNOWN or re.search(r" (?:AND|OR) ", licence) else licence


@functools.cache
def _licensing() -> Any:
    # Its table of licences takes a while to build: only when one is asked for.
    from license_expression import LicenseSymbol, Licensing, get_spdx_licensing

    # Without its guesses at what other people's LicenseRef-… stand for.
    symbols = (symbol for key, symbol in get_spdx_licensing().known_symbols.items() if not key.startswith("LicenseRef-"))
    return Licensing([LicenseSymbol(s.key, _official(s.aliases), s.is_exception) for s in symbols])


def _official(aliases: Iterable[str]) -> tuple[str, ...]:
    return tuple(alias for alias in aliases if not alias.startswith("LicenseRef-"))


def _expression(text: str) -> str:
    """Return a text that is an SPDX expression in SPDX's spelling, else nothing. `LicenseRef-…` may be anybody's own."""
    try:
        parsed = _licensing().parse(text)
        unknown = [""] if parsed is None else _licensing().unknown_license_keys(parsed)
    except Exception:  # whatever its parser trips over: the text is anybody's
        return ""
    return "" if any(not re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", key) for key in unknown) else str(parsed.render())


def _named(text: str) -> str:
    """Return the one licence that a text names in words, else nothing. What is in brackets may be said twice."""
    for way in (text, re.sub(r"\s*\([^)]*\)", "", text)):
        plain = _plain(way)
        for found in (_creative(way, plain), _gnu(plain), *(licence for name, licence in _NAMES if name.fullmatch(plain))):
            if found:
                return found
    return ""


def _plain(text: str) -> str:
    """Return the words of a text that tell licences apart, in lower case."""
    words = re.sub(r"[^a-z0-9.+]+", " ", re.sub(r",? version ", " ", text.lower()))
    return " ".join(_FILLER.sub(" ", words).split())


def _gnu(plain: str) -> str:
    for words, short in _GNU_NAMES:
        plain = words.sub(short, plain)
    found = _GNU.fullmatch(plain)
    if not found:
        return ""
    name = f"{found['kind'].upper()}GPL"
    if not found["number"]:  # the licences say: where no version is named, any ever published
        return f"{name}-{_FIRST_VERSION[name]}-or-later"
    number = found["number"] if "." in found["number"] else f"{found['number']}.0"
    return _expression(f"{name}-{number}-{'or-later' if found['later'] else 'only'}")


def _creative(text: str, plain: str) -> str:
    """Return the id of a Creative Commons licence given by address or in words; where SPDX has no id, one as it would write it."""
    if address := _ADDRESS.search(text):
        path = address["path"].removesuffix("/").removesuffix("/deed.en").removesuffix("/legalcode")
        plain = "cc0 1.0" if path.startswith("zero") else "cc " + " ".join(re.split("[/-]", path))
    for words, short in _CREATIVE_WORDS:
        plain = plain.replace(words, short)
    plain = " ".join(dict.fromkeys(plain.split()))  # "Creative Commons Attribution (CC BY)" says it twice
    if plain in ("cc0", "cc0 1.0", "cc cc0", "cc cc0 1.0", "cc zero", "cc zero 1.0", "cc zero v1.0", "cc cc0 v1.0"):
        return "CC0-1.0"
    found = _CREATIVE.fullmatch(plain)
    if not found:
        return ""
    pieces = ("cc", found["terms"].replace(" ", "-"), found["number"], found["place"])
    name = "-".join(piece for piece in pieces if piece).upper()
    return _expression(name) or f"LicenseRef-{name}"


def _several(text: str) -> str:
    """Return the expression of a text that names several licences, else nothing."""
    pieces = [piece for piece in _JOINT.split(text)[::2] if piece]
    found = [_expression(piece) or _named(piece) for piece in pieces]
    if len(pieces) < 2 or not all(found):
        return ""
    choices = [bool(match["any"]) for match in _JOINT.finditer(text)]
    if any(choices) and not all(choices):
        return ""
    return (" OR " if any(choices) else " AND ").join(f"({one})" if " " in one else one for one in dict.fromkeys(found))
