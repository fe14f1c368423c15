"""The normal form of words, in which word statistics count them and lexicons store them."""

from __future__ import annotations

import functools
import re
import unicodedata

#: Soft hyphen, zero-width (non-)joiner, word joiner: they occur inside words.
JOINERS = "\u00ad\u200c\u200d\u2060"

#: Characters that are written for an apostrophe; the last five are letters to Unicode.
APOSTROPHES = "'\u2018\u2019\u201b\u0060\u00b4\u2032\uff07\u02bc\u02bb\u02bd\u02b9\ua78c"

# Characters that are written in several ways in the same word. Accents are not among them: they distinguish words.
_VARIANTS = {
    **dict.fromkeys(map(ord, APOSTROPHES + "\u201a\u05f3"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u301d\u301e\u05f4"), '"'),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u05be"), "-"),
    **dict.fromkeys(map(ord, JOINERS), None),
    # Vowel signs that Hebrew and Arabic text mostly omits, and the tatweel, which only lengthens an Arabic word.
    **dict.fromkeys([*range(0x0591, 0x05BE), 0x05BF, 0x05C1, 0x05C2, 0x05C4, 0x05C5, 0x05C7], None),
    **dict.fromkeys([0x055B, 0x055C, 0x055E], None),  # Armenian's marks of emphasis, exclamation and question, inside words
    **dict.fromkeys([0x0640, *range(0x064B, 0x0653), 0x0670, *range(0x06D6, 0x06DD)], None),
}
_DIGIT = re.compile(r"\d")


@functools.lru_cache(1 << 17)
def normalise_word(word: str) -> str:
    """Return the normal form of a word, in which the statistics count it: spelling variants of a word share it.

    Case, compatibility forms (Unicode's NFKC), joiners and soft hyphens, kinds of apostrophes, quotation marks and dashes, and
    Hebrew and Arabic vowel signs are normalised; every digit becomes 0. The result is never empty and contains no white space.
    """
    form = unicodedata.normalize("NFKC", word.translate(_VARIANTS)).casefold()
    form = unicodedata.normalize("NFKC", form).translate(_VARIANTS)
    form = unicodedata.normalize("NFKC", "".join(form.split()))
    return _DIGIT.sub("0", form) or word
