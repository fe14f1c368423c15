"""The one language-code layer: every code of every source becomes one BCP 47 tag.

`zho`, `cmn_Hans`, `zh-CN` and `zh` are one language here: macro-languages stand for their main member, a script is kept
only where it is not the language's usual one, regions are dropped.
"""

from __future__ import annotations

import difflib
import functools

import langcodes

from mlctl.errors import InputError

# Locale modifiers of glibc and gettext that name a script.
_SCRIPT_MODIFIERS = {"latin": "Latn", "cyrillic": "Cyrl", "devanagari": "Deva"}


@functools.cache
def canonical(code: str) -> str:
    """Return the canonical tag of a language code in any common notation.

    Raises:
        InputError: the code names no language; the message suggests the nearest.
    """
    text, _, modifier = code.strip().replace("_", "-").partition("@")
    try:
        language = langcodes.Language.get(text, normalize=True)
    except langcodes.tag_parser.LanguageTagError:
        raise _unknown(code) from None
    if not language.language or language.language == "und" or not language.is_valid():
        raise _unknown(code)
    plain = langcodes.Language.make(language=language.prefer_macrolanguage().language)
    script = _SCRIPT_MODIFIERS.get(modifier.lower()) or language.maximize().script
    if script == plain.maximize().script:
        return plain.to_tag()
    return langcodes.Language.make(language=plain.language, script=script).to_tag()


def is_language(code: str) -> bool:
    """Tell whether `code` names a language in any notation."""
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
        near = difflib.get_close_matches(code.lower(), _COMMON, n=3, cutoff=0.3)
        return ", ".join(repr(tag) for tag in near or ("en", "fr", "zh"))


_COMMON = (
    "af ar az bg bn ca cs da de el en es et eu fa fi fr gl gu he hi hr hu hy id is it ja jv ka kk km kn ko lt lv mk ml mn mr ms my "
    "ne nl no pa pl pt qu ro ru si sk sl sq sr sv sw ta te th tl tr uk ur uz vi yo zh"
).split()
