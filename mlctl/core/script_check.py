"""Whether a text is in the script of its language, and in its variant of Chinese: the same answer in cleaning and in translation."""

from __future__ import annotations

import functools

import regex  # type: ignore[import-untyped]

from mlctl.core.unicode_scripts import count_han_variants
from mlctl.languages import han_variant, unicode_scripts


def is_in_other_script(text: str, letters: int, language: str, min_share: float) -> bool:
    """Return whether less than a share of a text's letters are of its language's script; False if that script is unknown.

    Args:
        text: the text.
        letters: number of its letters and combining marks.
        language: tag of the language.
        min_share: minimum share, 0 to 1; 0: no text is in another script.
    """
    foreign = _foreign_letters(language)
    if foreign is None:
        return False
    if text.isascii():  # all its letters are Latin
        return bool(foreign.match("a")) and min_share > 0
    return len(foreign.findall(text)) > (1 - min_share) * letters


def is_in_other_han_variant(text: str, language: str, min_share: float) -> bool:
    """Return whether, of a text's characters that only Simplified or only Traditional Chinese has, less than a share are of its language's
    variant; False if the text has no such characters or its language no variant.
    """
    variant = han_variant(language)
    if not variant:
        return False
    simplified, traditional = count_han_variants(text)
    own = simplified if variant == "Hans" else traditional
    return own < min_share * (simplified + traditional)


@functools.cache
def _foreign_letters(language: str) -> regex.Pattern[str] | None:
    """Return a pattern for a letter of another script than the language's; None where the script is not known."""
    own = "".join(rf"\p{{Script={name}}}" for name in unicode_scripts(language))
    return regex.compile(rf"[[\p{{L}}\p{{M}}]--[{own}\p{{Script=Zyyy}}\p{{Script=Zinh}}]]", regex.V1) if own else None
