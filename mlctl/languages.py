"""Language codes: every code of every source is mapped to one canonical BCP 47 tag.

`zho`, `cmn_Hans`, `zh-CN` and `zh` are one language: a macro-language stands for its main member, a script is kept only if it is not
the language's usual one, regions are dropped.
"""

from __future__ import annotations

import difflib
import functools

import langcodes
from langcodes.data_dicts import LIKELY_SUBTAGS, MACROLANGUAGES

from mlctl.errors import InputError

# Locale modifiers of glibc and gettext that name a script.
_SCRIPT_MODIFIERS = {"latin": "Latn", "cyrillic": "Cyrl", "devanagari": "Deva"}
# Scripts that are part of another one (FLORES writes kor_Hang), or less specific than the usual one (OPUS writes zho_Hani).
_SCRIPT_PARTS = {
    ("ko", "Hang"): "Kore",
    ("ja", "Hira"): "Jpan",
    ("ja", "Kana"): "Jpan",
    ("ja", "Hrkt"): "Jpan",
    ("zh", "Hani"): "Hans",
}
# Main members that langcodes does not map to their macro-language.
_MAIN_MEMBERS = {"nb": "no"}
# Usual scripts of members whose script differs from that of their macro-language.
_MEMBER_SCRIPTS = {"azb": "Arab"}


@functools.cache
def canonical(code: str) -> str:
    """Return the canonical tag of a language code in any common notation.

    Raises:
        InputError: the code names no language; the message suggests a similar one.
    """
    text, _, modifier = code.strip().replace("_", "-").partition("@")
    try:
        language = langcodes.Language.get(text, normalize=True)
    except langcodes.tag_parser.LanguageTagError:
        raise _unknown(code) from None
    without_region = langcodes.Language.make(
        language=language.language, script=language.script
    )  # NTREX's gsw-ZH has no valid region
    if not language.language or language.language == "und" or not without_region.is_valid():
        raise _unknown(code)
    tag = str(language.prefer_macrolanguage().language)
    tag = _MAIN_MEMBERS.get(tag, tag)
    script = _SCRIPT_MODIFIERS.get(modifier.lower()) or language.script or _usual_script(language)
    script = _SCRIPT_PARTS.get((tag, script or ""), script)
    if script == _usual_script(langcodes.Language.make(language=tag)):
        return tag
    return langcodes.Language.make(language=tag, script=script).to_tag()


def _usual_script(language: langcodes.Language) -> str | None:
    """Return the usual script of a language (in its region); of a rare language, that of its macro-language."""
    code = language.language or ""
    if code in _MEMBER_SCRIPTS:
        return _MEMBER_SCRIPTS[code]
    if code not in LIKELY_SUBTAGS and code in MACROLANGUAGES:
        return langcodes.Language.make(language=MACROLANGUAGES[code]).maximize().script
    return language.maximize().script


def is_language(code: str) -> bool:
    """Return whether `code` names a language in any notation."""
    try:
        canonical(code)
    except InputError:
        return False
    return True


def name(code: str) -> str:
    """Return the English name of a language: `fr` → `French`."""
    return langcodes.Language.get(canonical(code)).display_name()


def _unknown(code: str) -> InputError:
    return InputError(f"unknown language {code!r}", f"use a BCP 47 code such as {_suggestion(code)}")


def _suggestion(code: str) -> str:
    try:
        return repr(canonical(langcodes.find(code).to_tag()))
    except LookupError:
        similar = difflib.get_close_matches(code.lower(), _COMMON, n=3, cutoff=0.3)
        return ", ".join(repr(tag) for tag in similar or ("en", "fr", "zh"))


_COMMON = (
    "af ar az bg bn ca cs da de el en es et eu fa fi fr gl gu he hi hr hu hy id is it ja jv ka kk km kn ko lt lv mk ml mn mr ms my "
    "ne nl no pa pl pt qu ro ru si sk sl sq sr sv sw ta te th tl tr uk ur uz vi yo zh"
).split()
