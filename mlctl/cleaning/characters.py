"""Normalisation of characters: encoding errors, invisible characters, Unicode form and white space."""

from __future__ import annotations

import functools
import re
import unicodedata

import ftfy
from ftfy.badness import MOJIBAKE_CATEGORIES, is_bad

# C0 and C1 controls except white space, soft hyphen, bidirectional marks, word joiner and invisible operators,
# byte order mark, interlinear annotations, tags.
_CONTROLS = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f"
)
_INVISIBLE = re.compile(f"[{_CONTROLS}]")
# Joiners are spelling in scripts from Arabic to Balinese (Persian, Hindi, Khmer ...) and between emoji; elsewhere they are noise.
_STRAY_JOINER = re.compile("(?<![\u0600-\u10ff\u1780-\u1b7f\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]+")

# The zero-width space is a word border in Thai, Lao, Tibetan, Myanmar, Khmer and Tai scripts; elsewhere it is noise.
_BORDERED = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf"
_STRAY_BORDER = re.compile(f"(?<![{_BORDERED}])\u200b+|\u200b+(?![{_BORDERED}\u200b])")

# Without one of these characters no text is changed: all of the above, and white space other than the space.
_CHANGED = re.compile(f"[{_CONTROLS}\u200b-\u200d\t-\r\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")

# Characters without which ftfy finds no text bad: each of its sequences has one that is not a common letter.
_SIGNS = ("c1", "bad", "upper_accented", "box", "start_punctuation", "end_punctuation", "currency", "numeric", "law")
SIGNS_OF_MOJIBAKE = "".join(MOJIBAKE_CATEGORIES[name] for name in _SIGNS) + "ŒœÙ°Ђ"  # as the content of a character class
_SIGN_OF_MOJIBAKE = re.compile(f"[{SIGNS_OF_MOJIBAKE}]")


def fix_encoding(text: str) -> str:
    """Return text that was decoded with the wrong encoding (`CafÃ©`) as it should read, if it can be repaired; else unchanged."""
    return ftfy.fix_encoding(text) if looks_mojibake(text) else text


def fix_utf8(text: str) -> str:
    """Return UTF-8 that was decoded as another encoding as it should read; other text is not changed."""
    if not looks_mojibake(text):
        return text
    fixed, steps = ftfy.fix_encoding_and_explain(text)
    return fixed if any(step[:2] == ("decode", "utf-8") for step in steps or ()) else text


def looks_mojibake(text: str) -> bool:
    """Return whether a text has a sequence that only a wrong encoding makes."""
    return not text.isascii() and _SIGN_OF_MOJIBAKE.search(text) is not None and _is_bad(text)


@functools.lru_cache(maxsize=64)  # most texts are not changed by normalisation, and the mojibake rule checks them again
def _is_bad(text: str) -> bool:
    return bool(is_bad(text))


def is_normalized(text: str) -> bool:
    """Return whether `normalize_characters` would not change a text; False if it is not worth the time to find out."""
    if _CHANGED.search(text) or "  " in text or text[:1] == " " or text[-1:] == " ":
        return False
    return text.isascii() or unicodedata.is_normalized("NFC", text)


def normalize_characters(text: str) -> str:
    """Return text in NFC, without invisible characters but for those that are spelling, each run of white space as one space, trimmed.

    The function is idempotent.
    """
    if not (text.isascii() and text.isprintable()):
        text = _STRAY_BORDER.sub("", _STRAY_JOINER.sub("", _INVISIBLE.sub("", text)))
        if not unicodedata.is_normalized("NFC", text):
            text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def comparison_key(text: str) -> str:
    """Return a key that is equal for texts that differ in compatibility forms, case, white space or word borders only."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text.replace("\u200b", "")).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())
