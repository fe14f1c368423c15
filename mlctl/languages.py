"""Language codes: every code of every source is mapped to one canonical BCP 47 tag.

`zho`, `cmn_Hans`, `zh-CN` and `zh` are one language: a macro-language stands for its main member, a script is kept only if it is not
the language's usual one, regions are dropped.
"""

from __future__ import annotations

import difflib
import functools

import langcodes
from langcodes.data_dicts import LIKELY_SUBTAGS, MACROLANGUAGES, NORMALIZED_MACROLANGUAGES

from mlctl.core import unicode_scripts as unicode
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
# Usual scripts of members whose script differs from that of their macro-language, of languages whose texts are not in the script that
# CLDR names (Ancient Greek: the Cypriot syllabary; Old Norse: runes), and of three languages of FLORES that CLDR does not have.
_USUAL_SCRIPTS = {
    **dict.fromkeys(("azb", "uzs"), "Arab"),
    "mvf": "Mong",
    "grc": "Grek",
    "arc": "Syrc",
    **dict.fromkeys(("non", "sga", "mww", "hnj", "ctd", "cjk", "din", "lus"), "Latn"),
}
_WITH_HAN_VARIANT = ("zh", "yue")
# Codes of MediaWiki, which OPUS has too: Ekavian Serbian in its two scripts.
_WIKI_CODES = {"sr-ec": "sr-Cyrl", "sr-el": "sr-Latn"}


@functools.cache
def canonical(code: str) -> str:
    """Return the canonical tag of a language code in any common notation.

    Raises:
        InputError: the code names no language; the message suggests a similar one.
    """
    text, _, modifier = code.strip().replace("_", "-").partition("@")
    text = _WIKI_CODES.get(text.lower(), text)
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
    named = _SCRIPT_MODIFIERS.get(modifier.lower()) or language.script or _usual_script(language)
    named = unicode.SCRIPT_VARIANTS.get(named or "", named)
    named = _SCRIPT_PARTS.get((tag, named or ""), named)
    if named == _usual_script(langcodes.Language.make(language=tag)):
        return tag
    return langcodes.Language.make(language=tag, script=named).to_tag()


@functools.cache
def script(code: str) -> str | None:
    """Return the script of a language (ISO 15924): the one that the code names, else the usual one; None: unknown.

    The usual script is CLDR's; of a language that CLDR does not have, that of its macro-language (`acm`: that of Arabic).

    Raises:
        InputError: the code names no language.
    """
    language = langcodes.Language.get(canonical(code))
    return language.script or _usual_script(language)


@functools.cache
def unicode_scripts(code: str) -> tuple[str, ...]:
    """Return the scripts of Unicode that letters of text in a language are of; () if its script is unknown or not in Unicode.

    Without a script in the code these are the usual one and, if it differs, the one that CLDR names.

    Raises:
        InputError: the code names no language.
    """
    language = langcodes.Language.get(canonical(code))
    scripts = {script(code)}
    if not language.script and language.language in LIKELY_SUBTAGS:
        scripts.add(_cldr_script(language))
    return tuple(sorted({part for name in scripts if name for part in unicode.unicode_scripts(name)}))


@functools.cache
def han_variant(code: str) -> str:
    """Return which variant of Han text in a language has to be in: Hans, Hant, or "" for any.

    Of the Chinese languages, only Mandarin and Cantonese have a usual variant; of others the code has to name it (`wuu-Hans`).
    """
    language = langcodes.Language.get(canonical(code))
    name = script(code) if language.language in _WITH_HAN_VARIANT else language.script
    return name if name in ("Hans", "Hant") else ""


def _usual_script(language: langcodes.Language) -> str | None:
    """Return the usual script of a language (in its region); None: unknown."""
    return _USUAL_SCRIPTS.get(language.language or "") or _cldr_script(language)


def _cldr_script(language: langcodes.Language) -> str | None:
    """Return CLDR's script of a language in its region, or of its macro-language; None: CLDR has neither."""
    code = language.language or ""
    for known in (code, NORMALIZED_MACROLANGUAGES.get(code), MACROLANGUAGES.get(code)):
        if known in LIKELY_SUBTAGS:
            return langcodes.Language.make(language=known, territory=language.territory).maximize().script
    return None


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
